"""Folds deltas into minutes, hours and days, exactly once."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import BigIntegerField, Max
from django.utils import timezone
from psycopg import sql

from metrics.histograms.cumulative import cumulate, encode_histogram
from metrics.histograms.sketch import Sketch
from metrics.models import Dimension, TrafficDelta
from metrics.rollups.locks import try_lock_rollups
from metrics.rollups.partitions import ensure_partitions
from metrics.rollups.resolutions import RESOLUTIONS, Resolution
from metrics.rollups.series import Source, get_or_create_series
from stoa_cp.db.portions import batched

# What one transaction takes; the deltas that are left wait for the next one. The work of a delta is proportional to the
# cells of its sketch: 4,000 sketches of 1.4 KB were 6.1 s of Python, 20,000 of them ended with
# idle_in_transaction_session_timeout (10 s), each time anew. So the bytes are bounded as well as the rows.
DELTAS_AT_ONCE = 5_000
BYTES_AT_ONCE = 1 << 20
# Rollups that are read, added to and written together. A day of a busy subscription has a thousand cells however small
# the delta is, so these are bounded too: the session is idle only while one such portion is added up.
ROLLUPS_AT_ONCE = 500

# The oldest rows whose sketches before them take fewer bytes than the bound: at least one. octet_length does not read
# what is stored out of line.
TAKE_DELTAS = """
DELETE FROM metrics_trafficdelta WHERE id IN (
    SELECT id FROM (
        SELECT id, sum(octet_length(sketch)) OVER (ORDER BY id) - octet_length(sketch) AS bytes_before
        FROM (SELECT id, sketch FROM metrics_trafficdelta WHERE id <= %(until)s ORDER BY id LIMIT %(limit)s) AS oldest
    ) AS counted
    WHERE bytes_before < %(bytes)s
)
RETURNING tenant_id, api_id, subscription_id, mode, minute, last_request_at, sketch
"""
# The lowest and the highest bucket let PostgreSQL skip the partitions that the arrays do not name.
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
    """Some requests of one source, in one minute or in one bucket of a resolution."""

    source: Source
    begins_at: datetime
    last_request_at: datetime
    sketch: Sketch


class RollupTotals(NamedTuple):
    """What a rollup stores of its requests. The fields are named and ordered as in the model."""

    requests: int
    errors: int
    sketch: bytes
    histogram: bytes | None


# (series id, bucket) → its requests
Sums = dict[tuple[int, datetime], Sketch]
SeriesIds = Mapping[Source, Mapping[Dimension, int]]


def fold_waiting_deltas() -> None:
    """Fold the deltas that wait now, one transaction after the other, unless another process is folding.

    Not those that are reported meanwhile: under steady traffic that might never end.
    """
    newest = TrafficDelta.objects.aggregate(newest=Max("id"))["newest"]
    while newest and fold_deltas(until=newest):
        pass


@transaction.atomic
def fold_deltas(limit: int = DELTAS_AT_ONCE, *, until: int = BigIntegerField.MAX_BIGINT) -> int:
    """Move the oldest deltas, ``limit`` at most and up to the id ``until``, into the rollups.

    Return how many were moved: fewer than ``limit`` if their sketches are large, 0 also if another process is folding.

    1. Take the rollup lock. If another transaction has it, return at once: beat calls again after 10 s.
    2. Delete the deltas, and read them from the DELETE.
    3. Find or create the series of their subscriptions, APIs and tenants.
    4. For each resolution: drop what is older than its retention, sum the rest by series and bucket, add the sums to
       what is stored, and write the result.

    Each delta is counted exactly once, because steps 2 to 4 are one transaction. If the process dies, PostgreSQL rolls
    it back: the deltas are there again and the rollups do not contain them.
    """
    if not try_lock_rollups():
        return 0
    deltas = _take_deltas(limit, until)
    if not deltas:
        return 0
    series_ids = load_series_ids(deltas)
    now = timezone.now()
    for resolution in RESOLUTIONS:
        # A late delta would otherwise recreate a partition that has just been dropped.
        kept_since = resolution.kept_since(now)
        kept = (delta for delta in deltas if resolution.bucket_of(delta.begins_at) >= kept_since)
        _add_to_rollups(resolution, sum_partials(resolution, kept, series_ids))
    return len(deltas)


def _take_deltas(limit: int, until: int) -> list[PartialRollup]:
    with connection.cursor() as cursor:
        cursor.execute(TAKE_DELTAS, {"limit": limit, "until": until, "bytes": BYTES_AT_ONCE})
        return [
            PartialRollup(
                Source(tenant_id, api_id, subscription_id, mode), minute, last_request_at, Sketch.from_bytes(sketch)
            )
            for tenant_id, api_id, subscription_id, mode, minute, last_request_at, sketch in cursor.fetchall()
        ]


def load_series_ids(partials: Iterable[PartialRollup]) -> SeriesIds:
    """Return the ids of the series that the partial rollups are added to. Missing series are created."""
    latest: dict[Source, datetime] = {}
    for partial in partials:
        latest[partial.source] = max(partial.last_request_at, latest.get(partial.source, partial.last_request_at))
    return get_or_create_series(latest)


def sum_partials(resolution: Resolution, partials: Iterable[PartialRollup], series_ids: SeriesIds) -> Sums:
    """Return the sums of the partial rollups, for each series and bucket of a resolution."""
    sums: Sums = defaultdict(Sketch)
    for partial in partials:
        bucket, own_ids = resolution.bucket_of(partial.begins_at), series_ids[partial.source]
        for dimension in resolution.dimensions:
            sums[own_ids[dimension], bucket].merge(partial.sketch)
    return sums


def _add_to_rollups(resolution: Resolution, sums: Sums) -> None:
    """Add the sums to the stored rollups. The rollup lock makes the read and the write one step."""
    if not sums:
        return
    ensure_partitions(resolution, (bucket for _series_id, bucket in sums))
    for keys in batched(sorted(sums), ROLLUPS_AT_ONCE):
        portion = {key: sums.pop(key) for key in keys}
        for key, sketch in _read_rollups(resolution, portion).items():
            portion[key].merge(sketch)
        write_rollups(resolution, portion)


def _read_rollups(resolution: Resolution, keys: Sums) -> Sums:
    """Return the stored rollups with these keys."""
    series_ids, buckets = zip(*keys, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            READ_ROLLUPS.format(table=sql.Identifier(resolution.table)),
            [list(series_ids), list(buckets), min(buckets), max(buckets)],
        )
        return {(series_id, bucket): Sketch.from_bytes(sketch) for series_id, bucket, sketch in cursor.fetchall()}


def write_rollups(resolution: Resolution, sums: Sums) -> None:
    """Store the sums, and replace the rollups that have the same keys. The partitions must exist."""
    series_ids, buckets = zip(*sums, strict=True)
    totals = zip(*(totals_of(sketch, resolution) for sketch in sums.values()), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            WRITE_ROLLUPS.format(table=sql.Identifier(resolution.table)),
            [list(series_ids), list(buckets), *map(list, totals)],
        )


def totals_of(sketch: Sketch, resolution: Resolution) -> RollupTotals:
    """Return what a rollup of this resolution stores for a sketch."""
    histogram = None
    if resolution.keeps_histograms:
        histogram = encode_histogram(cumulate(sketch.cells, sketch.cells.values()))
    return RollupTotals(sketch.requests, sketch.errors, sketch.to_bytes(), histogram)
