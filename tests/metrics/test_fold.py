"""Folding: every resolution holds what came in, once."""

from datetime import timedelta
from threading import Thread

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from catalog.models import Api
from metrics.histograms.percentiles import summarize_sketch
from metrics.models import DayTraffic, Dimension, HourTraffic, MinuteTraffic, Series, TrafficDelta
from metrics.rollups import fold as rollups_fold
from metrics.rollups.fold import fold_deltas
from metrics.rollups.resolutions import DAY, HOUR, MINUTE, RESOLUTIONS
from subscriptions.models import Subscription
from tests.factories import SubscriptionFactory
from tests.metrics.traffic import counted, counted_everywhere, fold_all, record_of, report
from tests.races import at_once

pytestmark = pytest.mark.django_db


def test_folding_moves_the_deltas_into_every_resolution(mobile: Subscription, payments: Api) -> None:
    report(record_of(mobile), record_of(mobile, status=500), record_of(payments))
    report(record_of(mobile))

    assert fold_deltas() == 3

    assert not TrafficDelta.objects.exists()
    assert {counted(resolution, dimension) for resolution in RESOLUTIONS for dimension in resolution.dimensions} == {4}
    assert {row.errors for row in DayTraffic.objects.filter(series__dimension=Dimension.TENANT)} == {1}


def test_folding_again_adds_to_what_is_there(mobile: Subscription) -> None:
    for latency_ms in (10, 20, 30):
        report(record_of(mobile, latency_ms=latency_ms))
        fold_all()

    row = DayTraffic.objects.get(series__dimension=Dimension.TENANT)
    assert row.requests == 3
    assert summarize_sketch(row.sketch).percentiles(50, 99) == [20, 30]


def test_folding_in_small_steps_gives_the_same(mobile: Subscription) -> None:
    now = timezone.now()
    report(*(record_of(mobile, now - timedelta(minutes=minutes)) for minutes in range(50)))

    assert [fold_deltas(limit=20) for _ in range(4)] == [20, 20, 10, 0]
    assert counted_everywhere() == {50}


def test_a_series_remembers_its_last_request(mobile: Subscription) -> None:
    now = timezone.now()
    report(record_of(mobile, now))
    fold_all()
    report(record_of(mobile, now - timedelta(hours=1)))
    fold_all()

    assert {series.last_request_at for series in Series.objects.all()} == {now}


def test_buckets_begin_where_their_minute_hour_and_day_do(mobile: Subscription) -> None:
    at = timezone.now().replace(hour=13, minute=37, second=42) - timedelta(days=1)
    report(record_of(mobile, at))
    fold_all()

    minute = at.replace(second=0, microsecond=0)
    assert {row.bucket for row in MinuteTraffic.objects.all()} == {minute}
    assert {row.bucket for row in HourTraffic.objects.all()} == {minute.replace(minute=0)}
    assert {row.bucket for row in DayTraffic.objects.all()} == {minute.replace(hour=0, minute=0)}


def test_what_is_past_its_retention_is_not_stored_at_a_resolution(mobile: Subscription, settings: Settings) -> None:
    settings.STOA_RETENTION_DAYS = {"minute": 3, "hour": 90, "day": 0}
    now = timezone.now()
    report(record_of(mobile, now - timedelta(days=10)), record_of(mobile, now - timedelta(days=400)))
    fold_all()

    assert [counted(resolution) for resolution in (MINUTE, HOUR, DAY)] == [0, 1, 2]


def test_a_fold_that_fails_leaves_the_deltas(mobile: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
    report(record_of(mobile))
    monkeypatch.setattr(rollups_fold, "RESOLUTIONS", (MINUTE, HOUR, None))

    with pytest.raises(AttributeError):
        fold_deltas()

    assert counted() == 1
    assert counted(MINUTE) == counted(HOUR) == 0


@pytest.mark.django_db(transaction=True)
def test_a_second_fold_does_not_queue_behind_the_first(mobile: Subscription) -> None:
    """Without the lock it waits for the first one's rows, until the lock timeout makes it an error."""
    folded: list[int] = []

    def fold() -> None:
        folded.append(fold_deltas())
        connection.close()

    report(record_of(mobile))
    second = Thread(target=fold)
    with transaction.atomic():
        assert fold_deltas() == 1
        second.start()
        second.join(timeout=1)
        assert folded == [0]
    second.join()
    assert counted_everywhere() == {1}


@pytest.mark.django_db(transaction=True)
def test_two_folds_at_once_count_once(mobile: Subscription) -> None:
    others = SubscriptionFactory.create_batch(3, api=mobile.api, tenant=mobile.tenant, active=True)

    def fold_bit_by_bit() -> None:
        for _ in range(20):
            fold_deltas(limit=5)

    for _round in range(5):
        for _ in range(20):
            report(*(record_of(subscription) for subscription in (mobile, *others)))
        at_once(fold_bit_by_bit, fold_bit_by_bit)

    fold_all()
    assert counted_everywhere() == {5 * 20 * 4}
