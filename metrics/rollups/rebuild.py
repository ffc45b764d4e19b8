"""Recomputes hours from minutes and days from hours, and reports where the stored rollups differ.

There is no difference if the fold is right. The command ``rebuild_rollups`` is how operators check that.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone

from apikeys.models import Mode
from metrics.histograms.sketch import Sketch
from metrics.models import Dimension
from metrics.rollups.fold import (
    PartialRollup,
    RollupTotals,
    Sums,
    load_series_ids,
    sum_partials,
    totals_of,
    write_rollups,
)
from metrics.rollups.locks import lock_rollups
from metrics.rollups.partitions import ensure_partitions, partition_names
from metrics.rollups.resolutions import DAY, HOUR, MINUTE, Resolution
from metrics.rollups.series import Source

A_DAY = timedelta(days=1)
# The dimensions of subscriptions, and the mode of the calls that they add up.
MODES: dict[str, str] = {Dimension.SUBSCRIPTION.in_mode(mode).value: mode for mode in Mode.values}

# (series id, bucket) → what is stored, or should be
TotalsByKey = dict[tuple[int, datetime], RollupTotals]


class Difference(NamedTuple):
    """A stored rollup that is not the sum of the finer resolution: its requests, stored and recomputed."""

    resolution: str
    bucket: datetime
    series_id: int
    stored: int
    recomputed: int


@transaction.atomic
def rebuild_day(day: datetime, *, repair: bool) -> list[Difference]:
    """Recompute the day that begins at ``day`` and its hours. Return the differences; with ``repair``, store the sums.

    A resolution is left out if rows of the finer one have been dropped for that day: their sum would be too small.
    """
    # A fold between the two reads below would look like a difference. Folds return at once meanwhile.
    lock_rollups()
    differences = []
    for resolution, finer in ((HOUR, MINUTE), (DAY, HOUR)):
        if _is_complete(finer, day):
            differences += _rebuild(resolution, finer, day)
    transaction.set_rollback(not repair)
    return differences


def _is_complete(resolution: Resolution, day: datetime) -> bool:
    # The retention alone is not enough: it may have been raised after partitions were dropped.
    names = partition_names(resolution)
    if not names:
        return False
    return day >= max(resolution.start_of_partition(names[0]), resolution.kept_since(timezone.now()))


def _rebuild(resolution: Resolution, finer: Resolution, day: datetime) -> list[Difference]:
    partials = _read_partials(finer, day)
    sums = sum_partials(resolution, partials, load_series_ids(partials)) if partials else {}
    recomputed = {key: totals_of(sketch, resolution) for key, sketch in sums.items()}
    stored = _read_totals(resolution, day)
    # Also without `repair`: the day is then compared with the recomputed hours, and the caller rolls all of it back.
    if stored != recomputed:
        _replace(resolution, day, sums)
    return [
        Difference(resolution.name, bucket, series_id, before.requests, after.requests)
        for (series_id, bucket), before, after in _pairs(stored, recomputed)
        if not _is_equal(before, after)
    ]


def _is_equal(stored: RollupTotals, recomputed: RollupTotals) -> bool:
    """Tell whether the stored totals are right. Rows of a release without histograms lack theirs: no difference."""
    return stored in (recomputed, recomputed._replace(histogram=None))


def _pairs(
    stored: TotalsByKey, recomputed: TotalsByKey
) -> list[tuple[tuple[int, datetime], RollupTotals, RollupTotals]]:
    nothing = RollupTotals(0, 0, b"", None)
    keys = sorted(stored.keys() | recomputed.keys())
    return [(key, stored.get(key, nothing), recomputed.get(key, nothing)) for key in keys]


def _read_partials(resolution: Resolution, day: datetime) -> list[PartialRollup]:
    # The series of subscriptions alone: with those of tenants and APIs each request would count several times.
    rows = resolution.model.objects.filter(series__dimension__in=MODES, bucket__gte=day, bucket__lt=day + A_DAY)
    columns = rows.values_list(
        "series__tenant_id", "series__api_id", "series__subscription_id", "series__dimension", "bucket", "sketch"
    )
    return [
        PartialRollup(
            Source(tenant_id, api_id, subscription_id, MODES[dimension]), bucket, bucket, Sketch.from_bytes(sketch)
        )
        for tenant_id, api_id, subscription_id, dimension, bucket, sketch in columns
    ]


def _read_totals(resolution: Resolution, day: datetime) -> TotalsByKey:
    rows = resolution.model.objects.filter(bucket__gte=day, bucket__lt=day + A_DAY)
    return {
        (series_id, bucket): RollupTotals(*totals)
        for series_id, bucket, *totals in rows.values_list("series_id", "bucket", *RollupTotals._fields)
    }


def _replace(resolution: Resolution, day: datetime, sums: Sums) -> None:
    # Deleted first: a stored row whose requests the finer resolution does not have must go.
    resolution.model.objects.filter(bucket__gte=day, bucket__lt=day + A_DAY).delete()
    if sums:
        ensure_partitions(resolution, [day])
        write_rollups(resolution, sums)
