"""Folds deltas into minutes, hours and days: exactly once, whoever dies on the way."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction
from django.utils import timezone
from psycopg import sql

from metrics.histograms.cumulative import distribution_of, encode_distribution
from metrics.histograms.sketch import Sketch
from metrics.models import Dimension
from metrics.rollups.locks import try_to_hold_rollups
from metrics.rollups.partitions import ensure_partitions
from metrics.rollups.resolutions import LEVELS, Resolution
from metrics.rollups.series import Source, get_or_create_series

# About a second of work, far from the statement timeout; what is left waits for the next transaction.
DELTAS_AT_ONCE = 20_000

TAKE_DELTAS = """
DELETE FROM metrics_trafficdelta
WHERE id IN (SELECT id FROM metrics_trafficdelta ORDER BY id LIMIT %s)
RETURNING tenant_id, api_id, subscription_id, minute, last_request_at, sketch
"""
# The bounds keep partitions out that the arrays do not name.
READ_ROLLUPS = sql.SQL("""
SELECT series_id, bucket, sketch
FROM {table} JOIN unnest(%s::bigint[], %s::timestamptz[]) AS wanted (series_id, bucket) USING (series_id, bucket)
WHERE bucket BETWEEN %s AND %s
""")
WRITE_ROLLUPS = sql.SQL("""
INSERT INTO {table} (series_id, bucket, requests, errors, sketch, distribution)
SELECT * FROM unnest(%s::bigint[], %s::timestamptz[], %s::bigint[], %s::bigint[], %s::bytea[], %s::bytea[])
ON CONFLICT (series_id, bucket)
    DO UPDATE SET requests = excluded.requests, errors = excluded.errors,
        sketch = excluded.sketch, distribution = excluded.distribution
""")


class PartialRollup(NamedTuple):
    """Some requests of one source in one minute, or in one bucket of a level."""

    source: Source
    begins_at: datetime
    last_request_at: datetime
    sketch: Sketch


class RollupTotals(NamedTuple):
    """What a rollup says of its requests, in the order of its columns."""

    requests: int
    errors: int
    sketch: bytes
    distribution: bytes | None


# (series id, bucket) → its requests
Sums = dict[tuple[int, datetime], Sketch]
SeriesIds = Mapping[Source, Mapping[Dimension, int]]


@transaction.atomic
def fold_deltas(limit: int = DELTAS_AT_ONCE) -> int:
    """Move the oldest deltas into the rollups; return how many they were, 0 also if somebody else is folding.

    A fold that dies leaves the deltas where they were: they go in the transaction in which their sums come.
    """
    if not try_to_hold_rollups():
        return 0
    deltas = _take_deltas(limit)
    if not deltas:
        return 0
    series_ids = name_series(deltas)
    now = timezone.now()
    for level in LEVELS:
        kept_since = level.kept_since(now)
        kept = (delta for delta in deltas if level.bucket_of(delta.begins_at) >= kept_since)
        _add_to_level(level, sum_pieces(level, kept, series_ids))
    return len(deltas)


def _take_deltas(limit: int) -> list[PartialRollup]:
    with connection.cursor() as cursor:
        cursor.execute(TAKE_DELTAS, [limit])
        return [
            PartialRollup(
                Source(tenant_id, api_id, subscription_id), minute, last_request_at, Sketch.from_bytes(sketch)
            )
            for tenant_id, api_id, subscription_id, minute, last_request_at, sketch in cursor.fetchall()
        ]


def name_series(pieces: Iterable[PartialRollup]) -> SeriesIds:
    """Return the ids of the series that the pieces' sources add to; those that are new are made."""
    latest: dict[Source, datetime] = {}
    for piece in pieces:
        latest[piece.source] = max(piece.last_request_at, latest.get(piece.source, piece.last_request_at))
    return get_or_create_series(latest)


def sum_pieces(level: Resolution, pieces: Iterable[PartialRollup], series_ids: SeriesIds) -> Sums:
    """Return what the pieces add to each series of a level."""
    sums: Sums = defaultdict(Sketch)
    for piece in pieces:
        bucket, own_ids = level.bucket_of(piece.begins_at), series_ids[piece.source]
        for grain in level.grains:
            sums[own_ids[grain], bucket].merge(piece.sketch)
    return sums


def _add_to_level(level: Resolution, sums: Sums) -> None:
    if sums:
        ensure_partitions(level, (bucket for _series_id, bucket in sums))
        for key, sketch in _read_rollups(level, sums).items():
            sums[key].merge(sketch)
        write_rollups(level, sums)


def _read_rollups(level: Resolution, keys: Sums) -> Sums:
    """Return what the level holds under these keys."""
    series_ids, buckets = zip(*keys, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            READ_ROLLUPS.format(table=sql.Identifier(level.table)),
            [list(series_ids), list(buckets), min(buckets), max(buckets)],
        )
        return {(series_id, bucket): Sketch.from_bytes(sketch) for series_id, bucket, sketch in cursor.fetchall()}


def write_rollups(level: Resolution, sums: Sums) -> None:
    """Store these sums in place of what the level holds under their keys. The partitions must be there."""
    series_ids, buckets = zip(*sums, strict=True)
    figures = zip(*(figures_of(sketch, level) for sketch in sums.values()), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            WRITE_ROLLUPS.format(table=sql.Identifier(level.table)),
            [list(series_ids), list(buckets), *map(list, figures)],
        )


def figures_of(sketch: Sketch, level: Resolution) -> RollupTotals:
    """Return how the level stores a sketch."""
    distribution = None
    if level.keeps_distributions:
        distribution = encode_distribution(distribution_of(sketch.cells, sketch.cells.values()))
    return RollupTotals(sketch.requests, sketch.errors, sketch.to_bytes(), distribution)
