"""Writes a metrics answer as JSON, or its points as CSV, in pieces: a point is in memory until it is written."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from typing import Any

from metrics.histograms.percentiles import LatencySummary
from metrics.histograms.sketch import RELATIVE_ERROR
from metrics.queries import GroupBy, MetricPoint, Scope, groups_of, read_traffic, total_of
from metrics.reporting.date_ranges import DateRange
from metrics.reporting.gaps import fill_gaps

GROUP_FIELDS = {GroupBy.API: "api_id", GroupBy.SUBSCRIPTION: "subscription_id", GroupBy.STATUS: "status"}


@dataclass(frozen=True, slots=True)
class MetricsQuestion:
    """What is asked for. With ``fill``, points without requests are shown too."""

    scope: Scope
    date_range: DateRange
    group_by: GroupBy | None = None
    fill: bool = False

    def points(self) -> Iterator[MetricPoint]:
        """Yield the points to show, ordered by time, then by group."""
        points = read_traffic(self.scope, self.date_range, self.group_by)
        if not self.fill:
            return points
        groups = groups_of(self.scope, self.date_range, self.group_by) if self.group_by else {None}
        return fill_gaps(points, self.date_range, groups)


def stream_json(question: MetricsQuestion) -> Iterator[str]:
    """Yield the answer that MetricsSerializer describes.

    No serializer renders it: 400 days of 500 APIs are 200,000 points.
    """
    date_range = question.date_range
    kept = LatencySummary()
    requests = errors = 0
    yield '{"metrics":['
    comma = ""
    for point in question.points():
        rendered = _render_point(point, question)
        requests += point.summary.requests
        errors += point.summary.errors
        if question.group_by is None:
            kept.include(point.summary)
        yield comma + _as_json(rendered)
        comma = ","
    yield "]," + _as_json(
        {
            "granularity": date_range.granularity.name,
            "start_date": date_range.start_date.isoformat(),
            "end_date": date_range.end_date.isoformat(),
            "totals": _totals(question, kept) | {"requests": requests, "errors": errors},
            "percentile_relative_error": RELATIVE_ERROR,
        }
    ).removeprefix("{")


def _totals(question: MetricsQuestion, kept: LatencySummary) -> dict[str, int | None]:
    """Return the summary of all points.

    From the histograms: percentiles of the total do not follow from the percentiles of the points. Those of groups are
    not kept for it, they may be 200,000: the same requests are summed up in few rows of a coarser dimension.
    """
    return _render_summary(total_of(read_traffic(question.scope, question.date_range)) if question.group_by else kept)


def stream_csv(question: MetricsQuestion) -> Iterator[str]:
    """Yield a header and one row for each point (RFC 4180). The totals and the range are left out: they are no rows."""
    # Without points there is still a header, so that a spreadsheet can import the file.
    empty = MetricPoint(question.date_range.start, None, LatencySummary())
    yield _as_line(_render_point(empty, question))
    for point in question.points():
        yield _as_line(_render_point(point, question).values())


def _as_line(values: Any) -> str:
    line = StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue()


def _as_json(item: dict[str, Any]) -> str:
    return json.dumps(item, separators=(",", ":"), ensure_ascii=False)


def _render_point(point: MetricPoint, question: MetricsQuestion) -> dict[str, Any]:
    fields: dict[str, Any] = {"date": question.date_range.label(point.bucket)}
    if question.group_by:
        fields[GROUP_FIELDS[question.group_by]] = point.group
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
