"""Rollups: 400 days of every tenant; of the large one also hours and minutes, and days of APIs and subscriptions."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import product

from django.core.management.color import no_style
from django.db import connection

from metrics.histograms.sketch import Sketch, cell_of
from metrics.models import Dimension, Series
from metrics.rollups.fold import totals_of
from metrics.rollups.partitions import ensure_partitions
from metrics.rollups.resolutions import DAY, HOUR, MINUTE, Resolution
from tests.scale.catalog import api_id
from tests.scale.copying import copy
from tests.scale.sizes import DAYS, Sizes
from tests.scale.subscriptions import subscription_id
from tests.scale.tenants import tenant_id
from tests.scale.values import NOW

# What the default retention keeps (STOA_RETENTION_DAYS).
HOURS, MINUTES = 90 * 24, 2 * 24 * 60
SKETCH = Sketch.of(cell_of(status, latency) for status in (200, 404, 500) for latency in range(10, 500, 7))


def load(sizes: Sizes) -> None:
    columns = ("id", "tenant_id", "dimension", "api_id", "subscription_id", "last_request_at")
    keys = list(_series(sizes))
    numbers = range(1, len(keys) + 1)
    copy(Series, columns, ((number, *key, NOW) for number, key in zip(numbers, keys, strict=True)), len(keys))
    with connection.cursor() as cursor:
        # The ids were given, and the next series must not get one of them.
        for statement in connection.ops.sequence_reset_sql(no_style(), [Series]):
            cursor.execute(statement)
    _load_rollups(DAY, numbers, DAYS)
    _load_rollups(HOUR, numbers[:1], HOURS)
    _load_rollups(MINUTE, numbers[:1], MINUTES)


def _series(sizes: Sizes) -> Iterator[tuple[object, ...]]:
    """Yield the tenants' first, that of the large tenant before all."""
    for number in range(sizes.tenants):
        yield tenant_id(number), Dimension.TENANT, None, None
    for place, api in enumerate(sizes.reported_apis()):
        yield tenant_id(0), Dimension.API, api_id(api), None
        # The first subscriptions of the large tenant are to its APIs in turn.
        subscription = subscription_id(sizes.number(0, place))
        yield tenant_id(0), Dimension.SUBSCRIPTION, api_id(api), subscription


def _load_rollups(resolution: Resolution, series: Sequence[int], buckets: int) -> None:
    starts: list[datetime] = [resolution.bucket_of(NOW) - resolution.step * back for back in reversed(range(buckets))]
    ensure_partitions(resolution, [*starts, NOW + timedelta(days=1)])
    totals = totals_of(SKETCH, resolution)
    rows = ((number, start, *totals) for start, number in product(starts, series))
    columns = ("series_id", "bucket", "requests", "errors", "sketch", "histogram")
    copy(resolution.model, columns, rows, len(starts) * len(series))
