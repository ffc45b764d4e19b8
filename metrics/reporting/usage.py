"""How much of its hourly limit and its monthly quota each subscription has used.

Two sources count calls. The meters count what the control plane decided, before the call is made; what remains of a
limit is read from them. A gateway that decides by itself only reports traffic. So without a meter of this month, the
reported traffic is used.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Case, F, FloatField, Max, OuterRef, QuerySet, Subquery, Sum, Value, When
from django.db.models.expressions import Combinable, CombinedExpression
from django.db.models.functions import Cast, Coalesce, Concat, Greatest, NullIf, Substr

from apikeys.decisions.windows import month_after, remaining
from apikeys.models import TEST_METER_PREFIX, Meter, Mode
from metrics.models import DayTraffic, Dimension, HourTraffic, Rollup, Series, TrafficDelta
from metrics.rollups.resolutions import HOUR
from subscriptions.models import Subscription


@dataclass(frozen=True, slots=True)
class Period:
    """A calendar month (UTC); both dates are inclusive."""

    start: date
    end: date


@dataclass(frozen=True, slots=True)
class HourlyLimit:
    """Requests in the clock hour; ``limit`` None is unlimited. ``reset`` in seconds since 1970."""

    limit: int | None
    remaining: int | None
    reset: int


@dataclass(frozen=True, slots=True)
class MonthlyQuota:
    """Requests in the calendar month; ``limit`` None is unlimited."""

    limit: int | None
    used: int
    remaining: int | None
    resets_at: datetime


@dataclass(frozen=True, slots=True)
class Usage:
    """What a subscription has used of what it may use."""

    subscription: Subscription
    period: Period
    requests: int
    errors: int
    rate_limit: HourlyLimit
    quota: MonthlyQuota
    last_request_at: datetime | None


def month_of(moment: datetime) -> datetime:
    """Return when the calendar month (UTC) of ``moment`` began."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def with_usage(subscriptions: QuerySet[Subscription], now: datetime, mode: Mode = Mode.LIVE) -> QuerySet[Subscription]:
    """Annotate subscriptions with what they have used of the hour and the month of ``now``, by calls of one mode.

    ``requests`` and ``errors`` of the month, ``requests_this_hour``, ``quota_used`` of the month, ``quota_share`` (1.0
    is all of the quota, 0.0 without a quota) and ``last_request_at``.

    Folded rows, the unfolded tail and the meters are read in one statement: lists sort by these annotations, and the
    fold moves requests from the tail into the rows between two statements.
    """
    month, hour = month_of(now), HOUR.bucket_of(now)
    dimension = Dimension.SUBSCRIPTION.in_mode(mode)
    folded_month = _folded_rows(DayTraffic, dimension).filter(bucket__gte=month, bucket__lt=month_after(month))
    folded_hour = _folded_rows(HourTraffic, dimension).filter(bucket=hour)
    # order_by() drops the model's ordering by id, which Django would add to the GROUP BY.
    tail = (
        TrafficDelta.objects.order_by()
        .filter(tenant=OuterRef("tenant"), subscription=OuterRef("pk"), mode=mode)
        .values("subscription")
    )
    tail_month = tail.filter(minute__gte=month, minute__lt=month_after(month))
    tail_hour = tail.filter(minute__gte=hour, minute__lt=hour + timedelta(hours=1))
    meter = Meter.objects.filter(subject=_meter_of(mode), month=month)
    calls_this_hour = Case(When(hour=hour, then="hour_calls"), default=0)
    series = Series.objects.filter(dimension=dimension, subscription=OuterRef("pk"))
    return subscriptions.annotate(
        requests=_count(folded_month, tail_month, "requests"),
        errors=_count(folded_month, tail_month, "errors"),
        requests_this_hour=Coalesce(
            Subquery(meter.values_list(calls_this_hour)), _count(folded_hour, tail_hour, "requests")
        ),
        # `usage_of` computes the period and the resets from the same time as the counts.
        counted_at=Value(now),
        # PostgreSQL's GREATEST ignores NULLs: a subscription may have folded rows, a tail, both or neither.
        last_request_at=Greatest(Subquery(series.values("last_request_at")), _aggregate(tail, Max("last_request_at"))),
    ).annotate(
        quota_used=Coalesce(Subquery(meter.values("month_calls")), "requests"),
        # A quota of 0 has no share: NULLIF avoids the division by zero.
        quota_share=Coalesce(Cast("quota_used", FloatField()) / NullIf(F("quota"), Value(0)), 0.0),
    )


def usage_of(row: Any) -> Usage:
    """Return the usage of a subscription that ``with_usage`` has annotated.

    ``row`` is Any because mypy does not see annotations.
    """
    month, hour = month_of(row.counted_at), HOUR.bucket_of(row.counted_at)
    return Usage(
        subscription=row,
        period=Period(month.date(), month_after(month).date() - timedelta(days=1)),
        requests=row.requests,
        errors=row.errors,
        rate_limit=HourlyLimit(
            limit=row.rate_limit,
            remaining=remaining(row.rate_limit, row.requests_this_hour),
            reset=int((hour + timedelta(hours=1)).timestamp()),
        ),
        quota=MonthlyQuota(
            limit=row.quota,
            used=row.quota_used,
            remaining=remaining(row.quota, row.quota_used),
            resets_at=month_after(month),
        ),
        last_request_at=row.last_request_at,
    )


def _meter_of(mode: Mode) -> Combinable:
    """Return the subject of a subscription's meter of this mode."""
    if mode == Mode.LIVE:
        return OuterRef("pk")
    return Concat(Value(TEST_METER_PREFIX), Substr(OuterRef("pk"), len(TEST_METER_PREFIX) + 1))


def _folded_rows(model: type[Rollup], dimension: Dimension) -> QuerySet[Any, Any]:
    rows: QuerySet[Any, Any] = model.objects.filter(
        series__dimension=dimension, series__subscription=OuterRef("pk")
    ).values("series__subscription")
    return rows


def _count(folded: QuerySet[Any, Any], tail: QuerySet[Any, Any], column: str) -> CombinedExpression:
    """Return the sum of a column over the folded rows and the unfolded tail; 0 without rows."""
    return Coalesce(_aggregate(folded, Sum(column)), 0) + Coalesce(_aggregate(tail, Sum(column)), 0)


def _aggregate(rows: QuerySet[Any, Any], aggregate: Sum | Max) -> Subquery:
    """Return the aggregate over rows that ``values`` has grouped, as a subquery."""
    return Subquery(rows.annotate(result=aggregate).values("result"))
