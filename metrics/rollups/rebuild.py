"""Recomputes rollups from the finer level below, and tells where they differ: nowhere, if folding is right."""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone

from metrics.histograms.sketch import Sketch
from metrics.models import Dimension
from metrics.rollups.fold import PartialRollup, RollupTotals, Sums, figures_of, name_series, sum_pieces, write_rollups
from metrics.rollups.locks import hold_rollups
from metrics.rollups.partitions import ensure_partitions, partition_names, start_of
from metrics.rollups.resolutions import DAY, HOUR, MINUTE, Resolution
from metrics.rollups.series import Source

A_DAY = timedelta(days=1)

# (series id, bucket) → what is stored, or should be
RowFigures = dict[tuple[int, datetime], RollupTotals]


class Difference(NamedTuple):
    """Requests of one series in one bucket that are not what the finer level adds up to."""

    level: str
    bucket: datetime
    series_id: int
    stored: int
    recomputed: int


@transaction.atomic
def rebuild_day(day: datetime, *, repair: bool) -> list[Difference]:
    """Recompute the day that begins at ``day``, and its hours; with ``repair``, store what was recomputed.

    A level is left out if the finer one has let go of that day already. Folding waits meanwhile.
    """
    hold_rollups()
    differences = []
    for level, finer in ((HOUR, MINUTE), (DAY, HOUR)):
        if _is_complete(finer, day):
            differences += _rebuild(level, finer, day)
    transaction.set_rollback(not repair)
    return differences


def _is_complete(level: Resolution, day: datetime) -> bool:
    # Not by the retention alone: it may have been raised after partitions were dropped.
    names = partition_names(level)
    return bool(names) and day >= max(start_of(level, names[0]), level.kept_since(timezone.now()))


def _rebuild(level: Resolution, finer: Resolution, day: datetime) -> list[Difference]:
    pieces = _read_pieces(finer, day)
    sums = sum_pieces(level, pieces, name_series(pieces)) if pieces else {}
    recomputed = {key: figures_of(sketch, level) for key, sketch in sums.items()}
    stored = _read_figures(level, day)
    if stored != recomputed:
        _replace(level, day, sums)
    return [
        Difference(level.name, bucket, series_id, before.requests, after.requests)
        for (series_id, bucket), before, after in _pairs(stored, recomputed)
        if not _agree(before, after)
    ]


def _agree(stored: RollupTotals, recomputed: RollupTotals) -> bool:
    """Tell whether nothing that is stored is wrong: rows from before there were distributions lack theirs."""
    return stored in (recomputed, recomputed._replace(distribution=None))


def _pairs(stored: RowFigures, recomputed: RowFigures) -> list[tuple[tuple[int, datetime], RollupTotals, RollupTotals]]:
    nothing = RollupTotals(0, 0, b"", None)
    keys = sorted(stored.keys() | recomputed.keys())
    return [(key, stored.get(key, nothing), recomputed.get(key, nothing)) for key in keys]


def _read_pieces(level: Resolution, day: datetime) -> list[PartialRollup]:
    rows = level.model.objects.filter(series__grain=Dimension.SUBSCRIPTION, bucket__gte=day, bucket__lt=day + A_DAY)
    named = rows.values_list("series__tenant_id", "series__api_id", "series__subscription_id", "bucket", "sketch")
    return [
        PartialRollup(Source(tenant_id, api_id, subscription_id), bucket, bucket, Sketch.from_bytes(sketch))
        for tenant_id, api_id, subscription_id, bucket, sketch in named
    ]


def _read_figures(level: Resolution, day: datetime) -> RowFigures:
    rows = level.model.objects.filter(bucket__gte=day, bucket__lt=day + A_DAY)
    return {
        (series_id, bucket): RollupTotals(*figures)
        for series_id, bucket, *figures in rows.values_list("series_id", "bucket", *RollupTotals._fields)
    }


def _replace(level: Resolution, day: datetime, sums: Sums) -> None:
    level.model.objects.filter(bucket__gte=day, bucket__lt=day + A_DAY).delete()
    if sums:
        ensure_partitions(level, [day])
        write_rollups(level, sums)
