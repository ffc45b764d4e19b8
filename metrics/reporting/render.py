"""Puts traffic into the words of an answer."""

from typing import Any

from metrics.histograms.percentiles import LatencySummary
from metrics.histograms.sketch import RELATIVE_ERROR
from metrics.queries import GroupBy, MetricPoint, Scope, fill_gaps, read_traffic, total_of
from metrics.reporting.date_ranges import DateRange

GROUP_FIELDS = {GroupBy.API: "api_id", GroupBy.SUBSCRIPTION: "subscription_id", GroupBy.STATUS: "status"}


def report_traffic(scope: Scope, span: DateRange, group_by: GroupBy | None, *, fill: bool) -> dict[str, Any]:
    """Return the answer as the specification words it, with the range, the totals and the precision beside it."""
    lines = read_traffic(scope, span, group_by)
    shown = fill_gaps(lines, span, group_by) if fill else lines
    return {
        "metrics": [_describe_line(line, span, group_by) for line in shown],
        "granularity": span.granularity.name,
        "start_date": span.start_date.isoformat(),
        "end_date": span.end_date.isoformat(),
        "totals": _describe(total_of(lines)),
        "percentile_relative_error": RELATIVE_ERROR,
    }


def _describe_line(line: MetricPoint, span: DateRange, group_by: GroupBy | None) -> dict[str, Any]:
    named: dict[str, Any] = {"date": span.label(line.bucket)}
    if group_by:
        named[GROUP_FIELDS[group_by]] = line.group
    return named | _describe(line.reading)


def _describe(reading: LatencySummary) -> dict[str, int | None]:
    p50, p95, p99 = reading.percentiles(50, 95, 99)
    return {
        "requests": reading.requests,
        "errors": reading.errors,
        "p50_latency_ms": p50,
        "p95_latency_ms": p95,
        "p99_latency_ms": p99,
    }
