"""Folding is bounded work, whatever waits: by rows, by the bytes of the sketches, by the rollups that it touches."""

from datetime import timedelta
from itertools import product

import pytest
from django.db import connection
from django.db.models import Max
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from metrics.models import TrafficDelta
from metrics.rollups import fold as rollups_fold
from metrics.rollups.fold import fold_deltas, fold_waiting_deltas
from subscriptions.models import Subscription
from tests.factories import SubscriptionFactory
from tests.metrics.traffic import counted_everywhere, fold_all, record_of, report

pytestmark = pytest.mark.django_db

COPIES = """
INSERT INTO metrics_trafficdelta
    (minute, last_request_at, tenant_id, api_id, subscription_id, mode, requests, errors, sketch)
SELECT minute - number %% 60 * interval '1 minute', last_request_at, tenant_id, api_id, subscription_id, mode,
    requests, errors, sketch
FROM metrics_trafficdelta, generate_series(1, %s) AS number
"""


def test_large_sketches_are_folded_in_smaller_portions(mobile: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    report(*(record_of(mobile, now - timedelta(minutes=minutes)) for minutes in range(5)))
    size = len(TrafficDelta.objects.all()[0].sketch)
    monkeypatch.setattr(rollups_fold, "BYTES_AT_ONCE", 2 * size)
    assert [fold_deltas() for _ in range(4)] == [2, 2, 1, 0]
    assert counted_everywhere() == {5}


def test_a_sketch_above_the_bound_is_folded_alone(mobile: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
    report(record_of(mobile))
    report(record_of(mobile))
    monkeypatch.setattr(rollups_fold, "BYTES_AT_ONCE", 1)
    assert [fold_deltas() for _ in range(3)] == [1, 1, 0]
    assert counted_everywhere() == {2}


def test_rollups_are_written_in_portions(mobile: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
    others = SubscriptionFactory.create_batch(4, api=mobile.api, tenant=mobile.tenant, active=True)
    monkeypatch.setattr(rollups_fold, "ROLLUPS_AT_ONCE", 2)
    for _twice in range(2):
        report(*(record_of(subscription) for subscription in (mobile, *others)))
        with CaptureQueriesContext(connection) as queries:
            fold_all()
    assert counted_everywhere() == {10}
    # Five subscriptions and a tenant; with an API in hours and days.
    assert sum('INSERT INTO "metrics_hourtraffic' in query["sql"] for query in queries) == 4


def test_a_run_leaves_what_is_reported_meanwhile(mobile: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
    report(record_of(mobile))
    newest = TrafficDelta.objects.aggregate(newest=Max("id"))["newest"]

    def fold_and_report(*, until: int) -> int:
        assert until == newest
        report(record_of(mobile))
        return fold_deltas(until=until)

    monkeypatch.setattr(rollups_fold, "fold_deltas", fold_and_report)
    fold_waiting_deltas()
    assert TrafficDelta.objects.count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.deadline
def test_the_session_is_never_idle_for_long(mobile: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one portion, thousands of full sketches keep it idle for long: PostgreSQL ends it, and the next one, for ever.

    Both the portion and the time are shorter than in production, so that the test is.
    """
    monkeypatch.setattr(rollups_fold, "BYTES_AT_ONCE", 1 << 16)
    at = timezone.now().replace(second=0, microsecond=0)
    statuses, latencies = (200, 400, 500), range(10, 1_600, 10)
    report(*(record_of(mobile, at, status=status, latency_ms=ms) for status, ms in product(statuses, latencies)))
    with connection.cursor() as cursor:
        cursor.execute(COPIES, [4_000])
        cursor.execute("SET idle_in_transaction_session_timeout = '500ms'")
        fold_waiting_deltas()
        cursor.execute("RESET idle_in_transaction_session_timeout")
    assert counted_everywhere() == {4_001 * len(statuses) * len(latencies)}
