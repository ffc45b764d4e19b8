"""What a day's million of calls takes on the disk after folding, against the raw rows with their indexes."""

from collections.abc import Iterator
from datetime import timedelta

from django.utils import timezone

from metrics.models import DayTraffic, HourTraffic, MinuteTraffic, Series, TrafficBatch, TrafficDelta
from tests.benchmarks.databases import ask, execute
from tests.benchmarks.results import Row
from tests.benchmarks.traffic import calls, in_batches, make_targets, report, store_raw
from tests.factories import TenantFactory

RECORDS = 1_000_000
GOAL_MB = 10
TABLES = ", ".join(
    model._meta.db_table for model in (TrafficBatch, TrafficDelta, Series, MinuteTraffic, HourTraffic, DayTraffic)
)
SIZE = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname ~ %s AND relkind = 'r'"


def storage_rows() -> Iterator[Row]:
    """Count a day with all its minutes kept: the part of the retention that takes most room for a record."""
    execute(f"TRUNCATE {TABLES}, naive_record")
    tenant = TenantFactory(name="bench-storage")
    targets = make_targets(tenant, apis=10, subscriptions=20)
    day = calls(targets, timezone.now() - timedelta(days=1), timedelta(days=1), RECORDS)
    for number, records in enumerate(in_batches(day), start=1):
        report(f"storage-{number}", records)
        store_raw(tenant, records)
        execute(f"VACUUM {TABLES}")  # a batch is 14 minutes of the day, and autovacuum looks every minute
    ours, raw = _megabytes("^metrics_"), _megabytes("^naive_record$")
    name = "stored for a million records of 20 applications in a day, folded"
    yield Row(f"{name}: the goal", f"{ours:.1f} MB", f"≤ {GOAL_MB} MB", GOAL_MB / ours, goal=1)
    yield Row(f"{name}: raw rows", f"{ours:.1f} MB", f"{raw:.0f} MB", raw / ours)


def _megabytes(tables: str) -> float:
    return int(str(ask(SIZE, tables)[0][0])) / 1e6
