"""A tenant's 31 days by day, against ``percentile_cont`` over the raw rows, and against itself with fewer rows."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from statistics import median
from time import perf_counter

from django.utils import timezone

from metrics.queries import Scope
from metrics.reporting.date_ranges import DateRange, choose_date_range
from metrics.reporting.render import MetricsQuestion, stream_json
from metrics.rollups.resolutions import DAY
from tenants.models import Tenant
from tests.benchmarks.databases import ask, execute
from tests.benchmarks.results import ROUNDS, Row
from tests.benchmarks.traffic import calls, in_batches, make_targets, report, store_raw
from tests.factories import TenantFactory

DAYS = 31
NAME = f"a tenant's {DAYS} days by day"
FEW, MANY = 1_000, 1_000_000
RAW_MANY = 10 * MANY
REPEATED = 20  # in each round; the raw queries take seconds, and run once
# More of the same changes no sketch but its counts, so only the raw query has to meet the tenfold.
MAKE_TENFOLD = """
CREATE UNLOGGED TABLE naive_tenfold AS SELECT * FROM naive_record, generate_series(1, 10)
"""
RAW = """
SELECT date_trunc('day', timestamp), count(*), count(*) FILTER (WHERE status >= 500),
    percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY latency_ms)
FROM {table} WHERE tenant_id = %s AND timestamp >= %s AND timestamp < %s
GROUP BY 1 ORDER BY 1
"""


def query_rows() -> Iterator[Row]:
    """Measure the services, without HTTP: both sides would add the same."""
    execute("TRUNCATE naive_record")
    first = DAY.bucket_of(timezone.now()) - timedelta(days=DAYS)
    date_range = choose_date_range("day", first.date(), (first + timedelta(days=DAYS - 1)).date())
    small, large = (_tenant_with(count, date_range) for count in (FEW, MANY))
    execute(MAKE_TENFOLD, "CREATE INDEX ON naive_tenfold (tenant_id, timestamp)", "VACUUM ANALYZE")
    rounds = [
        (
            _milliseconds(lambda: _report(small, date_range), REPEATED),
            _milliseconds(lambda: _report(large, date_range), REPEATED),
            _milliseconds(lambda: _ask_raw("naive_record", large, date_range), 1),
            _milliseconds(lambda: _ask_raw("naive_tenfold", large, date_range), 1),
        )
        for _round in range(ROUNDS)
    ]
    execute("DROP TABLE naive_tenfold")
    few, many, *raws = (median(one[place] for one in rounds) for place in range(4))
    for count, raw in zip((MANY, RAW_MANY), raws, strict=True):
        baseline = f"`percentile_cont` over {count:,} raw rows: {raw:,.0f} ms"
        yield Row(f"{NAME}, against {count:,} raw rows", f"{many:.2f} ms", baseline, raw / many, goal=500)
    baseline = f"{few:.2f} ms with {FEW:,} calls"
    yield Row(
        f"{NAME}, {MANY:,} calls, at most 1.3 times as long", f"{many:.2f} ms", baseline, few / many, goal=1 / 1.3
    )


def _ask_raw(table: str, tenant: Tenant, date_range: DateRange) -> None:
    assert len(ask(RAW.format(table=table), tenant.id, date_range.start, date_range.stop)) == DAYS


def _tenant_with(count: int, date_range: DateRange) -> Tenant:
    tenant = TenantFactory(name=f"bench-{count}")
    targets = make_targets(tenant, apis=2, subscriptions=2)
    made = calls(targets, date_range.start, date_range.stop - date_range.start, count)
    for number, records in enumerate(in_batches(made)):
        report(f"{tenant.name}-{number}", records)
        store_raw(tenant, records)
    return tenant


def _report(tenant: Tenant, date_range: DateRange) -> None:
    answer = json.loads("".join(stream_json(MetricsQuestion(Scope(tenant.id), date_range))))
    assert len(answer["metrics"]) == DAYS


def _milliseconds(question: Callable[[], object], times: int) -> float:
    """Return the median time of a question."""
    taken = []
    for _time in range(times):
        start = perf_counter()
        question()
        taken.append(perf_counter() - start)
    return median(taken) * 1000
