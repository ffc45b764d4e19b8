"""What the kernel keeps for a time: deleted in batches, and nothing that is still needed."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from stoa_cp import tasks
from stoa_cp.celery import app
from stoa_cp.db import expiry
from stoa_cp.jobs import broker
from stoa_cp.jobs.broker import QUEUE, broker_url, delete_old_messages, install_queue
from stoa_cp.operators.models import OperatorSession
from stoa_cp.operators.session_store import SessionStore
from stoa_cp.ratelimit.counters import delete_expired_counters
from stoa_cp.ratelimit.models import Counter
from stoa_cp.rest.idempotency import delete_expired_records
from stoa_cp.rest.models import IdempotencyRecord

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "BATCH_SIZE", 3)
    monkeypatch.setattr(broker, "BATCH_SIZE", 3)


def deletions(queries: CaptureQueriesContext) -> int:
    return sum(query["sql"].lstrip().startswith("DELETE") for query in queries)


def test_counters_go_in_batches() -> None:
    times = {f"over-{number}": NOW - timedelta(seconds=1) for number in range(7)}
    times |= {"open": NOW + timedelta(hours=1)}
    Counter.objects.bulk_create(Counter(key=key, value=1, expires_at=time) for key, time in times.items())

    with CaptureQueriesContext(connection) as queries:
        assert delete_expired_counters() == 7
    assert deletions(queries) == 3
    assert Counter.objects.get().key == "open"


def test_sessions_go_in_batches() -> None:
    for number in range(7):
        OperatorSession.objects.create(
            session_key=str(number), expire_date=NOW - timedelta(seconds=1), last_seen_at=NOW, session_data=""
        )
    OperatorSession.objects.create(
        session_key="open", expire_date=NOW + timedelta(hours=1), last_seen_at=NOW, session_data=""
    )

    with CaptureQueriesContext(connection) as queries:
        SessionStore.clear_expired()
    assert deletions(queries) == 3
    assert OperatorSession.objects.get().session_key == "open"


def test_stored_answers_go_in_batches() -> None:
    for number in range(7):
        IdempotencyRecord.objects.create(
            digest=bytes([number]), body_digest=b"", status=201, headers={}, content=b"", created_at=NOW
        )
    assert delete_expired_records() == 0
    IdempotencyRecord.objects.exclude(digest=b"\0").update(created_at=F("created_at") - timedelta(hours=24))

    with CaptureQueriesContext(connection) as queries:
        assert delete_expired_records() == 6
    assert deletions(queries) == 2


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(app.conf, "broker_url", broker_url("", settings.DATABASES["default"]))
    connection.ensure_connection()
    install_queue(connection.connection)
    return connection.connection


def test_messages_that_no_worker_took_for_an_hour_go(queue: Any) -> None:
    for _message in range(8):
        queue.execute("SELECT pgmq.send(%s, '{}')", [QUEUE])
    queue.execute("UPDATE pgmq.q_celery SET enqueued_at = now() - interval '61 minutes' WHERE msg_id < 8")

    assert delete_old_messages() == 7
    assert delete_old_messages() == 0
    assert queue.execute("SELECT count(*) FROM pgmq.q_celery").fetchone() == (1,)


def test_another_broker_keeps_its_messages_itself() -> None:
    assert delete_old_messages() == 0


def test_the_hourly_task_sweeps_them_all(queue: Any) -> None:
    Counter.objects.create(key="over", value=1, expires_at=NOW - timedelta(seconds=1))
    queue.execute("SELECT pgmq.send(%s, '{}')", [QUEUE])
    queue.execute("UPDATE pgmq.q_celery SET enqueued_at = now() - interval '1 day'")
    tasks.purge_expired()

    assert not Counter.objects.exists()
    assert queue.execute("SELECT count(*) FROM pgmq.q_celery").fetchone() == (0,)
