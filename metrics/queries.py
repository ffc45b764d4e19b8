"""Reads traffic: the folded rows and the unfolded tail, in one statement and so in one snapshot.

One snapshot matters because the fold moves requests from the tail into the rows: two statements might count a request
twice or not at all.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.db import models
from django.db.models import QuerySet, Sum
from django.db.models.functions import TruncDay
from django.utils import timezone

from apikeys.models import Mode
from catalog.models import Api
from metrics.histograms.cumulative import decode_histogram
from metrics.histograms.percentiles import LatencySummary, summarize_sketch, summarize_status_classes
from metrics.models import DayTraffic, Dimension, Rollup, TrafficDelta
from metrics.reporting.date_ranges import DateRange
from metrics.rollups.resolutions import DAY, Resolution
from stoa_cp.db.prepared import fetch_all
from stoa_cp.db.replica import reporting_database
from stoa_cp.domain.errors import NotFound
from subscriptions.models import Subscription
from tenants.models import Tenant

# With groups, an answer may have 200,000 points and more: 400 days of 500 APIs. A portion of rows is some megabytes.
ROWS_AT_ONCE = 5_000
BUCKETS_AT_FIRST = 8  # of the first portion; its rows tell how many buckets the next one may have

# A sketch is several times as long as a histogram. It is sent only where there is no histogram, or where the status
# classes are asked for, which a histogram does not tell apart.
FOLDED_AND_TAIL = """
SELECT bucket, api_id, subscription_id, errors, distribution,
    CASE WHEN distribution IS NULL OR %(by_status)s THEN sketch ELSE '' END
FROM {table} JOIN metrics_series ON id = series_id
WHERE grain = %(dimension)s AND bucket >= %(start)s AND bucket < %(stop)s AND {wanted}
UNION ALL
SELECT minute, api_id, subscription_id, errors, NULL, sketch
FROM metrics_trafficdelta
WHERE minute >= %(start)s AND minute < %(stop)s AND mode = %(mode)s AND {wanted}
"""


class GroupBy(models.TextChoices):
    """What the points of an answer are grouped by, besides time."""

    API = "api"
    SUBSCRIPTION = "subscription"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose traffic to read, of one mode: a tenant's, one of its APIs', or one of its subscriptions'."""

    tenant_id: str
    api_id: str | None = None
    subscription_id: str | None = None
    mode: str = Mode.LIVE


def scope_of_api(tenant: Tenant, api_id: str) -> Scope:
    """Return the scope of one of the tenant's APIs. Raises NotFound if there is no such API, or it was deleted."""
    if not Api.objects.live().filter(tenant=tenant, id=api_id).exists():
        raise NotFound
    return Scope(tenant.id, api_id=api_id)


def scope_of_subscription(tenant: Tenant, subscription_id: str) -> Scope:
    """Return the scope of one of the tenant's subscriptions, also of an ended one. Raises NotFound."""
    if not Subscription.objects.filter(tenant=tenant, id=subscription_id).exists():
        raise NotFound
    return Scope(tenant.id, subscription_id=subscription_id)


class TrafficRow(NamedTuple):
    """The requests of one series in one bucket, or of one delta. ``sketch`` is empty where it is not needed."""

    moment: datetime
    api_id: str | None
    subscription_id: str | None
    errors: int
    histogram: bytes | None
    sketch: bytes


class MetricPoint(NamedTuple):
    """One bucket and group of an answer.

    ``group`` is an id or a status class. It is None without grouping, and for calls without a key.
    """

    bucket: datetime
    group: str | None
    summary: LatencySummary


def read_traffic(scope: Scope, date_range: DateRange, group_by: str | None = None) -> Iterator[MetricPoint]:
    """Yield the points that have requests, ordered by time, then by group.

    With groups, some buckets are read at a time. Each portion is one snapshot, and a request is in one bucket, so it
    counts once.
    """
    starts = [*date_range.buckets(), date_range.stop]
    # The first week or month may begin before the range.
    starts[0] = date_range.start
    first, buckets = 0, BUCKETS_AT_FIRST if group_by else len(starts)
    while first < len(starts) - 1:
        last = min(first + buckets, len(starts) - 1)
        rows = _fetch_rows(scope, date_range.granularity.resolution, (starts[first], starts[last]), group_by)
        yield from _make_points(rows, date_range, group_by)
        buckets = max(1, buckets * ROWS_AT_ONCE // max(1, len(rows)))
        first = last


def _make_points(rows: list[TrafficRow], date_range: DateRange, group_by: str | None) -> list[MetricPoint]:
    summaries: dict[tuple[datetime, str | None], LatencySummary] = defaultdict(LatencySummary)
    for row in rows:
        bucket = date_range.bucket_of(row.moment)
        for group, summary in _summarize_groups(row, group_by):
            summaries[bucket, group].include(summary)
    points = [MetricPoint(bucket, group, summary) for (bucket, group), summary in summaries.items()]
    return sorted(points, key=position_of)


def groups_of(scope: Scope, date_range: DateRange, group_by: str) -> set[str | None]:
    """Return the groups that have any requests in the range."""
    return {point.group for point in read_traffic(scope, date_range, group_by)}


def _summarize_groups(row: TrafficRow, group_by: str | None) -> Iterable[tuple[str | None, LatencySummary]]:
    """Return what a row adds to each group."""
    match group_by:
        case GroupBy.STATUS:
            return summarize_status_classes(row.sketch)
        case GroupBy.API:
            return [(row.api_id, _summarize(row))]
        case GroupBy.SUBSCRIPTION:
            return [(row.subscription_id, _summarize(row))]
        case _:
            return [(None, _summarize(row))]


def _summarize(row: TrafficRow) -> LatencySummary:
    if row.histogram is None:
        return summarize_sketch(row.sketch)
    return LatencySummary([decode_histogram(row.histogram)], row.errors)


def total_of(points: Iterable[MetricPoint]) -> LatencySummary:
    """Return the summary of all points together."""
    total = LatencySummary()
    for point in points:
        total.include(point.summary)
    return total


def position_of(point: MetricPoint) -> tuple[datetime, str]:
    """Return what points are ordered by."""
    # None and text cannot be compared: calls without a key come first.
    return point.bucket, point.group or ""


def _fetch_rows(
    scope: Scope, resolution: Resolution, span: tuple[datetime, datetime], group_by: str | None
) -> list[TrafficRow]:
    """Return all rows and deltas from the first moment of the span until before the second."""
    optional = {"api_id": scope.api_id, "subscription_id": scope.subscription_id}
    wanted = {"tenant_id": scope.tenant_id} | {column: id_ for column, id_ in optional.items() if id_}
    # Only names from this file go into the text; the values are parameters. Few texts, so few prepared statements.
    statement = FOLDED_AND_TAIL.format(
        table=resolution.table, wanted=" AND ".join(f"{column} = %({column})s" for column in wanted)
    )
    parameters = wanted | {
        "dimension": _dimension_for(scope, resolution, group_by).in_mode(scope.mode),
        "mode": scope.mode,
        "start": span[0],
        "stop": span[1],
        "by_status": group_by == GroupBy.STATUS,
    }
    return [TrafficRow._make(row) for row in fetch_all(statement, parameters, using=reporting_database())]


def _rollups(model: type[Rollup]) -> QuerySet[Any]:
    """Return the model's rows in the database that metrics are read from: the replica, if there is one and it answers.

    A union runs in the database of its first part, so the deltas beside these rows need no ``using``.
    """
    return model._default_manager.using(reporting_database())  # noqa: SLF001 - Django documents it


def _dimension_for(scope: Scope, resolution: Resolution, group_by: str | None) -> Dimension:
    """Return the coarsest dimension that can answer, because it has the fewest rows."""
    if scope.subscription_id or group_by == GroupBy.SUBSCRIPTION:
        needed = Dimension.SUBSCRIPTION
    elif scope.api_id or group_by == GroupBy.API:
        needed = Dimension.API
    else:
        needed = Dimension.TENANT
    return needed if needed in resolution.dimensions else Dimension.SUBSCRIPTION


def requests_per_day(days: int) -> list[tuple[date, int]]:
    """Return the live requests of all tenants on each of the last ``days`` days (UTC), today last. Empty days are 0."""
    today = DAY.bucket_of(timezone.now())
    first = today - timedelta(days=days - 1)
    folded = _rollups(DayTraffic).filter(series__dimension=Dimension.TENANT, bucket__gte=first).values_list("bucket")
    # order_by() drops the model's ordering by id, which Django would add to the GROUP BY.
    tail = TrafficDelta.objects.order_by().filter(mode=Mode.LIVE, minute__gte=first).values_list(TruncDay("minute"))
    counts: Counter[datetime] = Counter()
    for day, requests in folded.annotate(Sum("requests")).union(tail.annotate(Sum("requests")), all=True):
        counts[day] += requests
    return [(day.date(), counts[day]) for day in (first + timedelta(days=number) for number in range(days))]


def top_tenants(days: int, limit: int) -> list[tuple[str, int]]:
    """Return the tenants with most live requests in the last ``days`` days: their names and counts, highest first."""
    first = DAY.bucket_of(timezone.now()) - timedelta(days=days - 1)
    folded = _rollups(DayTraffic).filter(series__dimension=Dimension.TENANT, bucket__gte=first)
    tail = TrafficDelta.objects.order_by().filter(mode=Mode.LIVE, minute__gte=first)
    # Sorted here and not in SQL: a tenant's total is known only when its folded rows and its tail are added.
    counts: Counter[str] = Counter()
    for name, requests in (
        folded.values_list("series__tenant__name")
        .annotate(Sum("requests"))
        .union(tail.values_list("tenant__name").annotate(Sum("requests")), all=True)
    ):
        counts[name] += requests
    return counts.most_common(limit)
