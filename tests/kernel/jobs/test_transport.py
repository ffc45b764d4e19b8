"""Consuming from the queue in PostgreSQL: it is as it was installed, and notifies also after a crash of the server."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection
from kombu import Connection, Consumer, Queue, pools

import stoa_cp.celery  # noqa: F401 - chooses the transport
from stoa_cp.devserver.cluster import free_port
from stoa_cp.jobs.broker import QUEUE, broker_url, install_queue, transport_options

pytestmark = pytest.mark.django_db(transaction=True)

TRIGGER = "SELECT oid FROM pg_trigger WHERE tgrelid = 'pgmq.q_celery'::regclass AND tgname LIKE '%%notify%%'"
THROTTLE = "SELECT queue_name, throttle_interval_ms FROM pgmq.notify_insert_throttle"


@pytest.fixture
def queue() -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as raw:
        install_queue(raw)
        yield raw
        raw.execute("DROP SCHEMA pgmq CASCADE")


def consume(received: list[Any], sender: psycopg.Connection[Any]) -> None:
    """Begin to consume as a worker does, then send a message and wait for it."""
    url = broker_url("", connection.settings_dict)
    with Connection(url, transport_options=transport_options(url, wait_seconds=5)) as broker:
        consumer = Consumer(
            broker, [Queue(QUEUE)], callbacks=[lambda body, _message: received.append(body)], no_ack=True
        )
        with consumer:
            sender.execute("SELECT pgmq.send(%s, %s)", [QUEUE, MESSAGE])
            broker.drain_events(timeout=5)
    pools.reset()


def test_of_several_hosts_it_finds_the_one_that_answers(
    queue: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[Any] = []
    host, port = connection.settings_dict["HOST"], connection.settings_dict["PORT"]
    monkeypatch.setitem(connection.settings_dict, "HOST", f"{host},{host}")
    monkeypatch.setitem(connection.settings_dict, "PORT", f"{free_port(0)},{port}")
    monkeypatch.setenv("DATABASE_URL", f"postgres://stoa@{host}:1,{host}:{port}/stoa")
    consume(received, queue)

    assert received == [1]


MESSAGE = (
    '{"body": "1", "content-type": "application/json", "content-encoding": "utf-8", "headers": {},'
    ' "properties": {"delivery_tag": "t", "delivery_mode": 2,'
    ' "delivery_info": {"exchange": "", "routing_key": "celery"}}}'
)


def test_a_worker_leaves_the_trigger_as_it_is(queue: psycopg.Connection[Any]) -> None:
    received: list[Any] = []
    before = queue.execute(TRIGGER).fetchall()
    consume(received, queue)

    assert received == [1]
    assert len(before) == 1
    assert queue.execute(TRIGGER).fetchall() == before


def test_a_worker_turns_notifications_on_again_after_a_crash(queue: psycopg.Connection[Any]) -> None:
    assert queue.execute(THROTTLE).fetchall() == [(QUEUE, 0)]
    queue.execute("TRUNCATE pgmq.notify_insert_throttle")  # as PostgreSQL does: the table is unlogged
    try:
        consume([], queue)
    except TimeoutError:
        pytest.fail("the message was not received")

    assert queue.execute(THROTTLE).fetchall() == [(QUEUE, 0)]
