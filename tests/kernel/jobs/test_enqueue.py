"""Sending tasks: after the commit, without delaying the caller, through whatever broker the address names."""

import gc
import socket
import threading
import time
from collections.abc import Iterator
from statistics import median
from threading import BoundedSemaphore, Event
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from kombu import Connection
from psycopg.conninfo import conninfo_to_dict
from pytest_django import DjangoCaptureOnCommitCallbacks

from stoa_cp.celery import app
from stoa_cp.jobs import enqueue
from stoa_cp.jobs.broker import QUEUE, broker_url, conninfo_of, install_queue
from stoa_cp.jobs.enqueue import enqueue_on_commit

BROKERS = ["pgmq://stoa:secret@127.0.0.1:{port}/stoa", "redis://127.0.0.1:{port}/0", "amqp://127.0.0.1:{port}//"]
# Without a bound a caller would wait for much longer. A loaded machine makes a second of 0.2 s; `make faults` measures
# the promise itself, in row B2.
SOON_SECONDS = 1.5
PATIENCE_SECONDS = 10


@pytest.fixture
def refusing_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A broker that accepts every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield int(server.getsockname()[1])


@pytest.fixture(autouse=True)
def forget_connections() -> Iterator[None]:
    enqueue._breaker.open_until = 0.0
    enqueue._publisher.close()
    yield
    await_publishing()
    enqueue._publisher.close()
    gc.collect()  # ends the threads that still try to reach the brokers of these tests


def stall_seconds(url: str, monkeypatch: pytest.MonkeyPatch) -> float:
    """How long a caller waits for a broker that is away; the first time, which imports the client, is left out."""
    monkeypatch.setattr(app.conf, "broker_url", url)
    durations = []
    for _time in range(4):
        enqueue._breaker.open_until = 0.0
        began = time.perf_counter()
        enqueue_on_commit("tenants.set_up", "ten-0000000000000000")
        durations.append(time.perf_counter() - began)
    return median(durations[1:])


@pytest.mark.deadline
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("broker", BROKERS)
def test_a_broker_that_refuses_is_soon_given_up(
    broker: str, refusing_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stall_seconds(broker.format(port=refusing_port), monkeypatch) < SOON_SECONDS


@pytest.mark.deadline
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("broker", BROKERS)
def test_a_silent_broker_is_soon_given_up(broker: str, silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stall_seconds(broker.format(port=silent_port), monkeypatch) < SOON_SECONDS


@pytest.mark.deadline
@pytest.mark.django_db(transaction=True)
def test_a_change_with_ten_events_waits_for_a_silent_broker_once(
    silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.conf, "broker_url", BROKERS[0].format(port=silent_port))
    enqueue_on_commit("tenants.set_up", "ten-0000000000000000")  # imports the client
    enqueue._breaker.open_until = 0.0

    with transaction.atomic():
        for _event in range(10):
            enqueue_on_commit("tenants.set_up", "ten-0000000000000000")
        began = time.perf_counter()

    assert time.perf_counter() - began < SOON_SECONDS


def await_publishing() -> None:
    """Wait for the threads that send, also those of earlier tests: each gives its place back when it ends."""
    for thread in threading.enumerate():
        if thread.name == "enqueue":
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()


@pytest.mark.deadline
@pytest.mark.django_db(transaction=True)
def test_a_broker_that_falls_silent_while_a_task_is_sent_is_soon_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, sent = Event(), list[str]()

    def fall_silent(name: str, _args: object) -> None:
        sent.append(name)
        answers.wait(PATIENCE_SECONDS)

    await_publishing()
    monkeypatch.setattr(enqueue, "_publishing", BoundedSemaphore(2))
    monkeypatch.setattr(enqueue._publisher, "send", fall_silent)
    for _task in range(3):
        began = time.perf_counter()
        enqueue_on_commit("tenants.set_up", "ten-0000000000000000")
        assert time.perf_counter() - began < SOON_SECONDS
    answers.set()
    await_publishing()
    assert len(sent) == 2  # the third found both places taken


@pytest.mark.django_db
def test_nothing_is_sent_before_the_commit(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, tuple[str, ...]]] = []
    monkeypatch.setattr(app, "send_task", lambda name, args, **_options: sent.append((name, args)))
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        enqueue_on_commit("tenants.set_up", "ten-0000000000000000")
        assert sent == []
    assert sent == [("tenants.set_up", ("ten-0000000000000000",))]


@pytest.mark.django_db
def test_the_queue_is_installed_once_and_replaced_when_it_is_of_another_release() -> None:
    raw = raw_connection()
    version = install_queue(raw)
    raw.execute("SELECT pgmq.send(%s, '{}')", [QUEUE])
    assert install_queue(raw) == version
    assert raw.execute("SELECT count(*) FROM pgmq.q_celery").fetchone() == (1,)

    raw.execute("COMMENT ON SCHEMA pgmq IS 'stoa 0.1'")
    assert install_queue(raw) == version
    assert raw.execute("SELECT count(*) FROM pgmq.q_celery").fetchone() == (0,)


@pytest.mark.django_db
def test_a_queue_that_others_installed_is_left_alone() -> None:
    raw = raw_connection()
    install_queue(raw)
    raw.execute("COMMENT ON SCHEMA pgmq IS NULL")
    raw.execute("CREATE TABLE pgmq.others()")
    assert install_queue(raw) == "extension"
    assert raw.execute("SELECT to_regclass('pgmq.others') IS NOT NULL").fetchone() == (True,)


def test_the_database_is_the_broker_unless_an_address_says_otherwise() -> None:
    database = {"USER": "stoa", "PASSWORD": "secret", "HOST": "db.example", "PORT": 5433, "NAME": "stoa"}
    assert broker_url("", database) == "pgmq://stoa:secret@db.example:5433/stoa"
    assert broker_url("redis://127.0.0.1/0", database) == "redis://127.0.0.1/0"


def test_names_and_passwords_of_any_characters_reach_the_server() -> None:
    odd = {"user": "a b", "password": "p@:/ '\\%x", "host": "/var/run/postgresql", "port": "5432", "dbname": "d'b"}
    database = {
        "USER": odd["user"],
        "PASSWORD": odd["password"],
        "HOST": odd["host"],
        "PORT": odd["port"],
        "NAME": odd["dbname"],
    }
    assert conninfo_to_dict(conninfo_of(database)) == odd
    Connection(broker_url("", database))  # kombu can read it


def raw_connection() -> psycopg.Connection[Any]:
    """The driver's connection below Django's, inside the transaction that the test rolls back."""
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    return raw
