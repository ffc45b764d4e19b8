"""Answers what traffic there was: folded rows and the unfolded tail, in one statement and so in one snapshot."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import models
from django.db.models import QuerySet, Sum
from django.db.models.functions import TruncDay
from django.utils import timezone

from metrics.histograms.cumulative import decode_distribution
from metrics.histograms.percentiles import LatencySummary, read_sketch, read_status_classes
from metrics.models import DayTraffic, Dimension, Rollup, TrafficDelta
from metrics.reporting.date_ranges import DateRange
from metrics.rollups.resolutions import DAY, Resolution
from stoa_cp.db.prepared import fetch_all

# The sketch is several times as long as the distribution, and sent only where that is missing or tells too little.
FOLDED_AND_TAIL = """
SELECT bucket, api_id, subscription_id, errors, distribution,
    CASE WHEN distribution IS NULL OR %(by_status)s THEN sketch ELSE '' END
FROM {table} JOIN metrics_series ON id = series_id
WHERE grain = %(grain)s AND bucket >= %(start)s AND bucket < %(stop)s AND {wanted}
UNION ALL
SELECT minute, api_id, subscription_id, errors, NULL, sketch
FROM metrics_trafficdelta
WHERE minute >= %(start)s AND minute < %(stop)s AND {wanted}
"""


class GroupBy(models.TextChoices):
    """What an answer tells apart besides time."""

    API = "api"
    SUBSCRIPTION = "subscription"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose traffic is asked for: a tenant's, one of its APIs', or one of its subscriptions'."""

    tenant_id: str
    api_id: str | None = None
    subscription_id: str | None = None


class Row(NamedTuple):
    """Requests of one series in one bucket, or of one delta. The sketch is empty where the distribution is enough."""

    moment: datetime
    api_id: str | None
    subscription_id: str | None
    errors: int
    distribution: bytes | None
    sketch: bytes


class MetricPoint(NamedTuple):
    """One line of an answer. ``group`` is an id or a status class; None without one, and for calls without a key."""

    bucket: datetime
    group: str | None
    reading: LatencySummary


def read_traffic(scope: Scope, span: DateRange, group_by: str | None = None) -> list[MetricPoint]:
    """Return the buckets that had requests, in order of time, then of group."""
    readings: dict[tuple[datetime, str | None], LatencySummary] = defaultdict(LatencySummary)
    for row in _rows(scope, span, group_by):
        bucket = span.bucket_of(row.moment)
        for group, reading in _read_groups(row, group_by):
            readings[bucket, group].include(reading)
    lines = [MetricPoint(bucket, group, reading) for (bucket, group), reading in readings.items()]
    return sorted(lines, key=_position)


def _read_groups(row: Row, group_by: str | None) -> Iterable[tuple[str | None, LatencySummary]]:
    """Return what a row adds to each group."""
    match group_by:
        case GroupBy.STATUS:
            return read_status_classes(row.sketch)
        case GroupBy.API:
            return [(row.api_id, _read_row(row))]
        case GroupBy.SUBSCRIPTION:
            return [(row.subscription_id, _read_row(row))]
        case _:
            return [(None, _read_row(row))]


def _read_row(row: Row) -> LatencySummary:
    if row.distribution is None:
        return read_sketch(row.sketch)
    return LatencySummary([decode_distribution(row.distribution)], row.errors)


def fill_gaps(lines: list[MetricPoint], span: DateRange, group_by: str | None = None) -> list[MetricPoint]:
    """Add an empty line for every bucket without requests; with groups, for each group that had any."""
    found = {(line.bucket, line.group): line for line in lines}
    groups = {line.group for line in lines} if group_by else {None}
    filled = [
        found.get((bucket, group), MetricPoint(bucket, group, LatencySummary()))
        for bucket in span.buckets()
        for group in groups
    ]
    return sorted(filled, key=_position)


def total_of(lines: list[MetricPoint]) -> LatencySummary:
    """Return the reading of all lines together."""
    total = LatencySummary()
    for line in lines:
        total.include(line.reading)
    return total


def _position(line: MetricPoint) -> tuple[datetime, str]:
    return line.bucket, line.group or ""


def _rows(scope: Scope, span: DateRange, group_by: str | None) -> list[Row]:
    """Return all that may add to the answer."""
    level = span.granularity.level
    named = {"api_id": scope.api_id, "subscription_id": scope.subscription_id}
    wanted = {"tenant_id": scope.tenant_id} | {name: id_ for name, id_ in named.items() if id_}
    statement = FOLDED_AND_TAIL.format(
        table=level.table, wanted=" AND ".join(f"{column} = %({column})s" for column in wanted)
    )
    parameters = wanted | {
        "grain": _grain(scope, level, group_by),
        "start": span.start,
        "stop": span.stop,
        "by_status": group_by == GroupBy.STATUS,
    }
    return [Row._make(row) for row in fetch_all(statement, parameters, using=settings.STOA_METRICS_DATABASE)]


def _read(model: type[Rollup]) -> QuerySet[Any]:
    """Ask the database that is set apart for metrics, if there is one: a union runs where its first part does."""
    return model._default_manager.using(settings.STOA_METRICS_DATABASE)  # noqa: SLF001 - Django documents it


def _grain(scope: Scope, level: Resolution, group_by: str | None) -> Dimension:
    """Return the coarsest grain that tells apart what is asked, as far as the level has it."""
    if scope.subscription_id or group_by == GroupBy.SUBSCRIPTION:
        needed = Dimension.SUBSCRIPTION
    elif scope.api_id or group_by == GroupBy.API:
        needed = Dimension.API
    else:
        needed = Dimension.TENANT
    return needed if needed in level.grains else Dimension.SUBSCRIPTION


def requests_per_day(days: int) -> list[tuple[date, int]]:
    """Return all tenants' requests of each of the last ``days`` days, today last; days without any are 0."""
    today = DAY.bucket_of(timezone.now())
    first = today - timedelta(days=days - 1)
    folded = _read(DayTraffic).filter(series__grain=Dimension.TENANT, bucket__gte=first).values_list("bucket")
    tail = TrafficDelta.objects.order_by().filter(minute__gte=first).values_list(TruncDay("minute"))
    counts: Counter[datetime] = Counter()
    for day, requests in folded.annotate(Sum("requests")).union(tail.annotate(Sum("requests")), all=True):
        counts[day] += requests
    return [(day.date(), counts[day]) for day in (first + timedelta(days=number) for number in range(days))]


def top_tenants(days: int, limit: int) -> list[tuple[str, int]]:
    """Return the names of the tenants with most requests in the last ``days`` days, and how many, highest first."""
    first = DAY.bucket_of(timezone.now()) - timedelta(days=days - 1)
    folded = _read(DayTraffic).filter(series__grain=Dimension.TENANT, bucket__gte=first)
    tail = TrafficDelta.objects.order_by().filter(minute__gte=first)
    counts: Counter[str] = Counter()
    for name, requests in (
        folded.values_list("series__tenant__name")
        .annotate(Sum("requests"))
        .union(tail.values_list("tenant__name").annotate(Sum("requests")), all=True)
    ):
        counts[name] += requests
    return counts.most_common(limit)
