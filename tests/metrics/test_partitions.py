"""Partitions: there before they are needed, gone after the retention."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from metrics.models import TrafficBatch
from metrics.rollups.partitions import ensure_partitions, maintain_partitions, partition_names
from metrics.rollups.resolutions import DAY, HOUR, MINUTE, RESOLUTIONS, Resolution
from metrics.services import purge_batches
from stoa_cp.db import expiry
from subscriptions.models import Subscription
from tests.metrics.traffic import counted, fold_all, record_of, report

pytestmark = pytest.mark.django_db

NOW = datetime(2024, 12, 31, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def retention(settings: Settings) -> None:
    settings.STOA_RETENTION_DAYS = {"minute": 3, "hour": 90, "day": 0}


@pytest.mark.parametrize(
    ("resolution", "suffixes"),
    [
        (MINUTE, ["20241231", "20250101", "20250102"]),
        (HOUR, ["202412", "202501", "202502"]),
        (DAY, ["2024", "2025", "2026"]),
    ],
    ids=["minute", "hour", "day"],
)
def test_this_partition_and_the_next_two_are_made(resolution: Resolution, suffixes: list[str]) -> None:
    assert maintain_partitions(NOW) == []
    assert partition_names(resolution) == [f"{resolution.table}_{suffix}" for suffix in suffixes]


def test_making_them_again_changes_nothing() -> None:
    maintain_partitions(NOW)
    before = [partition_names(resolution) for resolution in RESOLUTIONS]
    assert maintain_partitions(NOW) == []
    assert [partition_names(resolution) for resolution in RESOLUTIONS] == before


def test_partitions_meet_without_gap_or_overlap() -> None:
    for resolution in RESOLUTIONS:
        start = resolution.partition_start(datetime(2023, 12, 15, tzinfo=UTC))
        for _step in range(40):
            following = resolution.next_partition(start)
            assert resolution.partition_start(following - timedelta(microseconds=1)) == start
            assert resolution.partition_start(following) == following
            start = following


def test_a_partition_goes_when_all_of_it_is_past_the_retention() -> None:
    for resolution in RESOLUTIONS:
        ensure_partitions(resolution, [NOW - timedelta(days=days) for days in (0, 2, 3, 4, 80, 100, 150, 800)])

    dropped = maintain_partitions(NOW)

    assert partition_names(MINUTE)[0] == "metrics_minutetraffic_20241228"
    assert partition_names(HOUR)[0] == "metrics_hourtraffic_202410"
    assert partition_names(DAY)[0] == "metrics_daytraffic_2022"
    assert "metrics_minutetraffic_20241227" in dropped
    assert "metrics_hourtraffic_202409" in dropped
    assert not any(name.startswith("metrics_daytraffic") for name in dropped)


def test_what_a_resolution_still_keeps_is_never_dropped(mobile: Subscription) -> None:
    now = timezone.now()
    report(*(record_of(mobile, now - timedelta(days=days)) for days in range(120)))
    fold_all()
    before = [counted(resolution) for resolution in RESOLUTIONS]

    maintain_partitions(now)

    assert [counted(resolution) for resolution in RESOLUTIONS] == before
    assert before[2] == 120


def test_a_week_without_beat_loses_nothing(mobile: Subscription) -> None:
    now = timezone.now()
    assert [partition_names(resolution) for resolution in RESOLUTIONS] == [[], [], []]
    report(*(record_of(mobile, now - timedelta(days=days)) for days in range(7)))

    fold_all()  # when beat is back, before it makes partitions
    maintain_partitions(now)

    assert (counted(HOUR), counted(DAY)) == (7, 7)
    assert counted(MINUTE) >= 3  # those within the retention of minutes


def test_batches_that_no_repetition_needs_are_purged(mobile: Subscription) -> None:
    report(record_of(mobile), batch_id="old")
    TrafficBatch.objects.update(received_at=timezone.now() - timedelta(days=8))
    report(record_of(mobile), batch_id="new")

    assert purge_batches(timezone.now()) == 1

    assert TrafficBatch.objects.get().batch_id == "new"


def test_batches_are_purged_in_portions(mobile: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "BATCH_SIZE", 2)
    for number in range(5):
        report(record_of(mobile), batch_id=str(number))
    TrafficBatch.objects.update(received_at=timezone.now() - timedelta(days=8))
    with CaptureQueriesContext(connection) as queries:
        assert purge_batches(timezone.now()) == 5
    assert sum(query["sql"].startswith("DELETE") for query in queries) == 3
