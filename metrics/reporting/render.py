"""Writes the JSON of a metrics answer."""

from typing import Any

from metrics.histograms.percentiles import LatencySummary
from metrics.histograms.sketch import RELATIVE_ERROR
from metrics.queries import GroupBy, MetricPoint, Scope, fill_gaps, read_traffic, total_of
from metrics.reporting.date_ranges import DateRange

GROUP_FIELDS = {GroupBy.API: "api_id", GroupBy.SUBSCRIPTION: "subscription_id", GroupBy.STATUS: "status"}


def render_metrics(scope: Scope, date_range: DateRange, group_by: GroupBy | None, *, fill: bool) -> dict[str, Any]:
    """Return the answer that MetricsSerializer describes; with ``fill``, also the points without requests.

    No serializer renders it: an answer by minute has up to 2,880 points for each group.
    """
    points = read_traffic(scope, date_range, group_by)
    shown = fill_gaps(points, date_range, group_by) if fill else points
    return {
        "metrics": [_render_point(point, date_range, group_by) for point in shown],
        "granularity": date_range.granularity.name,
        "start_date": date_range.start_date.isoformat(),
        "end_date": date_range.end_date.isoformat(),
        # From the histograms: percentiles of the total do not follow from the percentiles of the points.
        "totals": _render_summary(total_of(points)),
        "percentile_relative_error": RELATIVE_ERROR,
    }


def _render_point(point: MetricPoint, date_range: DateRange, group_by: GroupBy | None) -> dict[str, Any]:
    fields: dict[str, Any] = {"date": date_range.label(point.bucket)}
    if group_by:
        fields[GROUP_FIELDS[group_by]] = point.group
    return fields | _render_summary(point.summary)


def _render_summary(summary: LatencySummary) -> dict[str, int | None]:
    p50, p95, p99 = summary.percentiles(50, 95, 99)
    return {
        "requests": summary.requests,
        "errors": summary.errors,
        "p50_latency_ms": p50,
        "p95_latency_ms": p95,
        "p99_latency_ms": p99,
    }
