"""What Prometheus reads of workers, the queue, the databases, partitions and signed heads."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client
from kombu import pools
from pytest_django import Settings

from metrics.rollups.partitions import maintain_partitions, partition_names
from metrics.rollups.resolutions import MINUTE
from stoa_cp.celery import app
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.checkpoints import sign_new_events
from stoa_cp.eventlog.emit import emit
from stoa_cp.eventlog.models import Event
from stoa_cp.guide.pages import read_page
from stoa_cp.jobs.broker import QUEUE, install_queue
from stoa_cp.observability.worker_metrics import worker_metrics
from tests.factories import TenantFactory
from tests.project.documents import CODE, rows, section
from tests.project.test_prometheus import scrape
from tests.stores import redis_server
from webhooks.tasks import fan_out_events

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC).timestamp()


@pytest.fixture(autouse=True)
def _scrapers_on_this_machine(settings: Settings) -> None:
    settings.STOA_METRICS_ALLOW = ["127.0.0.0/8"]


@pytest.fixture
def queue() -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as raw:
        install_queue(raw)
        yield raw
        raw.execute("DROP SCHEMA pgmq CASCADE")


def test_tasks_are_read_from_the_rows_of_workers() -> None:
    before = scrape()
    fan_out_events.apply(headers={"celery_beat_task": True, "stoa_sent_at": datetime.now(UTC).timestamp() - 5})
    worker_metrics.flush()
    samples = scrape()
    task = "webhooks.fan_out_events"

    def grown(*series: str) -> float:
        return samples[series] - before.get(series, 0)

    assert grown("stoa_task_runs_total", "succeeded", task) == 1
    assert samples["stoa_task_runs_total", "failed", task] == 0
    assert grown("stoa_task_seconds_total", task) > 0
    assert 5 <= grown("stoa_task_wait_seconds_total", task) < 15
    assert samples["stoa_task_last_success_timestamp_seconds", task] >= NOW
    assert samples["stoa_beat_last_task_timestamp_seconds",] >= NOW
    assert samples["stoa_task_interval_seconds", "metrics.fold_traffic"] == 10


def test_the_queue_in_postgresql_tells_its_length_and_its_age(
    settings: Settings, queue: psycopg.Connection[Any]
) -> None:
    settings.STOA_BROKER_URL = ""
    assert scrape()["stoa_queue_messages",] == scrape()["stoa_queue_age_seconds",] == 0

    queue.execute("SELECT pgmq.send(%s, '{}'), pgmq.send(%s, '{}')", [QUEUE, QUEUE])
    queue.execute("UPDATE pgmq.q_celery SET enqueued_at = enqueued_at - interval '1 minute' WHERE msg_id = 1")
    samples = scrape()
    assert samples["stoa_queue_messages",] == 2
    assert 60 <= samples["stoa_queue_age_seconds",] < 90
    assert samples["stoa_broker_up",] == 1

    queue.execute("SELECT pgmq.read(%s, 30, 2)", [QUEUE])  # a worker has taken them
    assert scrape()["stoa_queue_messages",] == 0


def test_a_queue_that_is_not_installed_is_no_error(settings: Settings) -> None:
    settings.STOA_BROKER_URL = ""
    samples = scrape()
    assert samples["stoa_broker_up",] == 0
    assert samples["stoa_database_up",] == 1


def test_the_queue_in_redis_tells_its_length(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with redis_server() as url:
        settings.STOA_BROKER_URL = url
        monkeypatch.setattr(app.conf, "broker_url", url)
        assert (scrape()["stoa_queue_messages",], scrape()["stoa_broker_up",]) == (0, 1)
        with app.connection_for_write(url) as broker, broker.Producer() as producer:
            for _time in range(3):
                app.send_task("webhooks.fan_out_events", producer=producer)
        assert scrape()["stoa_queue_messages",] == 3
    pools.reset()
    samples = scrape()
    assert samples["stoa_broker_up",] == 0
    assert ("stoa_queue_messages",) not in samples
    assert samples["stoa_database_up",] == 1


def test_sessions_of_the_database_are_counted_by_program_and_state() -> None:
    before = scrape()
    parameters = connection.get_connection_params()
    with (
        psycopg.connect(**parameters, application_name="stoa-worker-7") as worker,
        psycopg.connect(**parameters, application_name="stoa-web-8", autocommit=True) as web,
        psycopg.connect(**parameters, application_name="psql") as person,
    ):
        for session in (worker, web, person):
            session.execute("SELECT 1")
        after = scrape()

    for program, state in (("worker", "idle in transaction"), ("web", "idle"), ("other", "idle in transaction")):
        series = ("stoa_database_sessions", program, state)
        assert after[series] - before[series] == 1
    assert after["stoa_database_sessions", "beat", "active"] == 0
    assert after["stoa_database_sessions_max",] >= 20


@pytest.mark.django_db(databases=["default", "replica"])
def test_a_replica_that_is_a_primary_has_no_lag(settings: Settings) -> None:
    assert ("stoa_replica_up",) not in scrape()
    settings.STOA_METRICS_DATABASE = "replica"
    samples = scrape()
    assert (samples["stoa_replica_up",], samples["stoa_replica_lag_seconds",]) == (1, 0)


def test_partitions_that_are_made_ahead_are_counted() -> None:
    now = datetime.now(UTC)
    maintain_partitions(now)
    before = scrape()
    assert [before["stoa_partitions_ahead", name] for name in ("minute", "hour", "day")] == [2, 2, 2]

    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {partition_names(MINUTE)[-1]}")
    assert scrape()["stoa_partitions_ahead", "minute"] == 1
    maintain_partitions(now)
    assert scrape()["stoa_partitions_ahead", "minute"] == 2


def test_signed_heads_tell_when_and_for_how_many_chains_there_is_none() -> None:
    for name in ("initech", "hooli"):
        with transaction.atomic():
            emit("tenant.created", tenant_id=TenantFactory(name=name).id, actor=SYSTEM, data={})
    unsigned = scrape()["stoa_chains_unsigned",]
    assert unsigned >= 2
    sign_new_events()
    samples = scrape()
    assert samples["stoa_chains_unsigned",] == 0
    assert samples["stoa_chain_head_signed_timestamp_seconds",] >= NOW - 1

    with transaction.atomic():
        emit("tenant.created", tenant_id=Event.objects.first().tenant_id, actor=SYSTEM, data={})
    assert scrape()["stoa_chains_unsigned",] == 1


def test_without_a_database_the_process_still_tells_its_own() -> None:
    def refuse(*_statement: Any) -> None:
        raise OperationalError

    scrape()
    with connection.execute_wrapper(refuse):
        samples = scrape()
    assert samples["stoa_database_up",] == 0
    assert ("stoa_events_waiting",) not in samples
    assert samples["stoa_http_requests_total", "GET", "metrics", "200"] >= 1


@pytest.mark.django_db(databases=["default", "replica"])
def test_the_guide_lists_the_metrics_that_there_are(client: Client, settings: Settings) -> None:
    settings.STOA_METRICS_DATABASE = "replica"
    text = client.get("/metrics").content.decode()
    there = set(re.findall(r"^# TYPE (stoa_\w+)", text, re.MULTILINE))
    listed = {name for row in rows(section(read_page("watching").text, "Metrics")) for name in CODE.findall(row[0])}

    assert listed == there
