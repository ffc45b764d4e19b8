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

from metrics.levels import DAY, Level
from metrics.models import DayTraffic, Grain, Rollup, TrafficDelta
from metrics.readings import Reading
from metrics.spans import Span


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


class Line(NamedTuple):
    """One line of an answer. ``group`` is an id or a status class; None without one, and for calls without a key."""

    bucket: datetime
    group: str | None
    reading: Reading


def read_traffic(scope: Scope, span: Span, group_by: str | None = None) -> list[Line]:
    """Return the buckets that had requests, in order of time, then of group."""
    readings: dict[tuple[datetime, str | None], Reading] = defaultdict(Reading)
    for moment, api_id, subscription_id, sketch in _rows(scope, span, group_by):
        bucket, reading = span.bucket_of(moment), Reading(sketch)
        match group_by:
            case GroupBy.STATUS:
                for status_class, part in reading.by_status_class().items():
                    readings[bucket, status_class].include(part)
            case GroupBy.API:
                readings[bucket, api_id].include(reading)
            case GroupBy.SUBSCRIPTION:
                readings[bucket, subscription_id].include(reading)
            case _:
                readings[bucket, None].include(reading)
    lines = [Line(bucket, group, reading) for (bucket, group), reading in readings.items()]
    return sorted(lines, key=_position)


def fill_gaps(lines: list[Line], span: Span, group_by: str | None = None) -> list[Line]:
    """Add an empty line for every bucket without requests; with groups, for each group that had any."""
    found = {(line.bucket, line.group): line for line in lines}
    groups = {line.group for line in lines} if group_by else {None}
    filled = [
        found.get((bucket, group), Line(bucket, group, Reading())) for bucket in span.buckets() for group in groups
    ]
    return sorted(filled, key=_position)


def total_of(lines: list[Line]) -> Reading:
    """Return the reading of all lines together."""
    total = Reading()
    for line in lines:
        total.include(line.reading)
    return total


def _position(line: Line) -> tuple[datetime, str]:
    return line.bucket, line.group or ""


def _rows(scope: Scope, span: Span, group_by: str | None) -> Iterable[tuple[datetime, str | None, str | None, bytes]]:
    """Return (time, API id, subscription id, encoded sketch) of all that may add to the answer."""
    level = span.granularity.level
    named = {"api_id": scope.api_id, "subscription_id": scope.subscription_id}
    wanted = {"tenant_id": scope.tenant_id} | {name: id_ for name, id_ in named.items() if id_}
    folded = _read(level.model).filter(
        series__grain=_grain(scope, level, group_by),
        bucket__gte=span.start,
        bucket__lt=span.stop,
        **{f"series__{name}": id_ for name, id_ in wanted.items()},
    )
    tail = TrafficDelta.objects.order_by().filter(minute__gte=span.start, minute__lt=span.stop, **wanted)
    rows: Iterable[tuple[datetime, str | None, str | None, bytes]] = folded.values_list(
        "bucket", "series__api_id", "series__subscription_id", "sketch"
    ).union(tail.values_list("minute", "api_id", "subscription_id", "sketch"), all=True)
    return rows


def _read(model: type[Rollup]) -> QuerySet[Any]:
    """Ask the database that is set apart for metrics, if there is one: a union runs where its first part does."""
    return model._default_manager.using(settings.STOA_METRICS_DATABASE)  # noqa: SLF001 - Django documents it


def _grain(scope: Scope, level: Level, group_by: str | None) -> Grain:
    """Return the coarsest grain that tells apart what is asked, as far as the level has it."""
    if scope.subscription_id or group_by == GroupBy.SUBSCRIPTION:
        needed = Grain.SUBSCRIPTION
    elif scope.api_id or group_by == GroupBy.API:
        needed = Grain.API
    else:
        needed = Grain.TENANT
    return needed if needed in level.grains else Grain.SUBSCRIPTION


def requests_per_day(days: int) -> list[tuple[date, int]]:
    """Return all tenants' requests of each of the last ``days`` days, today last; days without any are 0."""
    today = DAY.bucket_of(timezone.now())
    first = today - timedelta(days=days - 1)
    folded = _read(DayTraffic).filter(series__grain=Grain.TENANT, bucket__gte=first).values_list("bucket")
    tail = TrafficDelta.objects.order_by().filter(minute__gte=first).values_list(TruncDay("minute"))
    counts: Counter[datetime] = Counter()
    for day, requests in folded.annotate(Sum("requests")).union(tail.annotate(Sum("requests")), all=True):
        counts[day] += requests
    return [(day.date(), counts[day]) for day in (first + timedelta(days=number) for number in range(days))]


def top_tenants(days: int, limit: int) -> list[tuple[str, int]]:
    """Return the names of the tenants with most requests in the last ``days`` days, and how many, highest first."""
    first = DAY.bucket_of(timezone.now()) - timedelta(days=days - 1)
    folded = _read(DayTraffic).filter(series__grain=Grain.TENANT, bucket__gte=first)
    tail = TrafficDelta.objects.order_by().filter(minute__gte=first)
    counts: Counter[str] = Counter()
    for name, requests in (
        folded.values_list("series__tenant__name")
        .annotate(Sum("requests"))
        .union(tail.values_list("tenant__name").annotate(Sum("requests")), all=True)
    ):
        counts[name] += requests
    return counts.most_common(limit)
