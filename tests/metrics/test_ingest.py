"""Counting a batch: what is taken, what is refused, and that nothing is counted twice."""

import json
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import DataError
from django.utils import timezone

from catalog.models import Api
from metrics.histograms.percentiles import summarize_sketch
from metrics.histograms.sketch import Sketch
from metrics.ingest.batches import Batch, read_json
from metrics.models import TrafficBatch, TrafficDelta
from metrics.services import Receipt, ingest_batch
from stoa_cp.domain.actors import GATEWAY, Actor
from subscriptions.models import Subscription
from tests.metrics.traffic import EDGE, counted, record_of, report
from tests.races import at_once

pytestmark = pytest.mark.django_db


def refusals(receipt: Receipt) -> list[tuple[int, str]]:
    return [(refusal.index, refusal.code) for refusal in receipt.refused]


def test_good_records_are_counted(mobile: Subscription) -> None:
    receipt = report(record_of(mobile, status=200, latency_ms=12), record_of(mobile, status=503, latency_ms=40.4))

    assert receipt == Receipt(accepted=2)
    delta = TrafficDelta.objects.get()
    assert (delta.tenant_id, delta.api_id, delta.subscription_id) == (mobile.tenant_id, mobile.api_id, mobile.id)
    assert (delta.requests, delta.errors) == (2, 1)
    assert summarize_sketch(delta.sketch).percentiles(50, 99) == [12, 40]


def test_a_call_without_a_subscription_counts_for_its_api(payments: Api) -> None:
    assert report(record_of(payments)).accepted == 1
    assert TrafficDelta.objects.get().subscription_id is None


def test_a_repeated_batch_counts_nothing(mobile: Subscription) -> None:
    report(record_of(mobile), batch_id="once")
    again = report(record_of(mobile), record_of(mobile), batch_id="once")

    assert again == Receipt(accepted=0, is_duplicate=True)
    assert counted() == 1


def test_another_gateway_may_use_the_same_batch_id(mobile: Subscription) -> None:
    other = Actor(id="gtw-fedcba9876543210", roles=frozenset({GATEWAY}))
    report(record_of(mobile), batch_id="same")

    assert report(record_of(mobile), batch_id="same", by=other).accepted == 1
    assert counted() == 2


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"status": 99}, "out_of_range"),
        ({"status": 600}, "out_of_range"),
        ({"status": "200"}, "out_of_range"),
        ({"status": True}, "out_of_range"),
        ({"status": 200.0}, "out_of_range"),
        ({"latency_ms": -1}, "out_of_range"),
        ({"latency_ms": 86_400_001}, "out_of_range"),
        ({"latency_ms": float("nan")}, "out_of_range"),
        ({"latency_ms": float("inf")}, "out_of_range"),
        ({"latency_ms": "12"}, "out_of_range"),
        ({"latency_ms": None}, "out_of_range"),
        ({"latency_ms": True}, "out_of_range"),
        ({"bytes": -1}, "out_of_range"),
        ({"bytes": 1.5}, "out_of_range"),
        ({"timestamp": "2025-01-09"}, "invalid"),
        ({"timestamp": "2025-01-09T10:00:00"}, "invalid"),
        ({"timestamp": "2025-W02-4T10:00:00Z"}, "invalid"),
        ({"timestamp": "2025-02-30T10:00:00Z"}, "invalid"),
        ({"timestamp": 1736416800}, "invalid"),
        ({"api_id": 7}, "invalid"),
        ({"api_id": "api-unknown"}, "unknown_api"),
        ({"api_id": "api-\ud800\x00"}, "unknown_api"),
        ({"api_id": "api-0000000000000000"}, "unknown_api"),
        ({"subscription_id": ["sub"]}, "invalid"),
        ({"subscription_id": "sub-0000000000000000"}, "unknown_subscription"),
        ({"method": "GET"}, "unknown_field"),
    ],
    ids=str,
)
def test_a_bad_record_is_refused_and_the_others_are_kept(
    mobile: Subscription, changes: dict[str, Any], code: str
) -> None:
    receipt = report(record_of(mobile), record_of(mobile) | changes, record_of(mobile))

    assert receipt.accepted == 2
    assert refusals(receipt) == [(1, code)]
    assert str(receipt.refused[0].message)
    assert counted() == 2


@pytest.mark.parametrize("missing", ["timestamp", "api_id", "status", "latency_ms"])
def test_a_record_that_lacks_a_field_is_refused(mobile: Subscription, missing: str) -> None:
    record = record_of(mobile)
    del record[missing]
    assert refusals(report(record)) == [(0, "required")]


@pytest.mark.parametrize("record", [None, 7, "record", [], [{}]], ids=str)
def test_what_is_no_object_is_refused(mobile: Subscription, record: Any) -> None:
    assert refusals(report(record, record_of(mobile))) == [(0, "invalid")]


def test_a_subscription_of_another_api_or_tenant_is_refused(mobile: Subscription, foreign: Subscription) -> None:
    crossed = record_of(mobile) | {"subscription_id": foreign.id}
    assert refusals(report(crossed, record_of(foreign))) == [(0, "unknown_subscription")]


@pytest.mark.parametrize(
    ("age", "code"),
    [
        (timedelta(hours=47, minutes=59), None),
        (timedelta(hours=48, seconds=1), "too_old"),
        (timedelta(minutes=-4, seconds=-59), None),
        (timedelta(minutes=-5, seconds=-5), "in_the_future"),
    ],
    ids=str,
)
def test_records_must_be_of_the_last_48_hours(mobile: Subscription, age: timedelta, code: str | None) -> None:
    receipt = ingest_batch(Batch("ages", [record_of(mobile, timezone.now() - age)]), by=EDGE)
    assert refusals(receipt) == ([(0, code)] if code else [])


def test_a_deleted_api_still_gets_what_happened_before(mobile: Subscription) -> None:
    now = timezone.now()
    mobile.api.deleted_at = now - timedelta(hours=1)
    mobile.api.save()

    receipt = report(record_of(mobile, now - timedelta(hours=2)), record_of(mobile, now))

    assert receipt.accepted == 1
    assert refusals(receipt) == [(1, "unknown_api")]


def test_a_batch_without_a_good_record_may_be_sent_again(mobile: Subscription) -> None:
    report(record_of(mobile, status=0), batch_id="mended")
    assert not TrafficBatch.objects.exists()

    assert report(record_of(mobile), batch_id="mended").accepted == 1


def test_a_repetition_is_one_also_when_its_records_would_be_refused_by_now(mobile: Subscription) -> None:
    now = timezone.now()
    report(record_of(mobile, now), batch_id="once")
    mobile.api.deleted_at = now - timedelta(hours=1)
    mobile.api.save()

    assert report(record_of(mobile, now), batch_id="once") == Receipt(is_duplicate=True)


def test_a_field_left_out_is_as_good_as_null(payments: Api) -> None:
    with_null, without = record_of(payments), record_of(payments)
    del without["subscription_id"]
    body = json.dumps({"batch_id": "b-1", "records": [with_null, without]}).encode()

    assert ingest_batch(read_json(body), by=EDGE).accepted == 2
    assert TrafficDelta.objects.get().requests == 2


@pytest.mark.django_db(transaction=True)
def test_a_batch_whose_requests_cannot_be_stored_is_not_known(
    mobile: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(Sketch, "requests", 2**62)  # more than the column holds
        with pytest.raises(DataError):
            report(record_of(mobile), batch_id="broken")

    assert report(record_of(mobile), batch_id="broken").accepted == 1


def test_refusals_come_in_the_order_of_the_records(mobile: Subscription) -> None:
    receipt = report(record_of(mobile) | {"api_id": "api-unknown"}, record_of(mobile, status=0), record_of(mobile))
    assert refusals(receipt) == [(0, "unknown_api"), (1, "out_of_range")]


@pytest.mark.django_db(transaction=True)
def test_of_identical_batches_at_once_one_counts(mobile: Subscription) -> None:
    for number in range(5):
        batch = Batch(f"race-{number}", [record_of(mobile)] * 200)
        receipts = at_once(*[partial(ingest_batch, batch, by=EDGE)] * 8)
        assert sorted(receipt.accepted for receipt in receipts) == [0] * 7 + [200]
        assert sum(receipt.is_duplicate for receipt in receipts) == 7

    assert counted() == 1_000
