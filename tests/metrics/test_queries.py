"""Reading traffic: scopes, groups, folded rows and the unfolded tail."""

import json
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import product
from math import ceil
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from catalog.models import Api
from metrics import queries
from metrics.models import DayTraffic, HourTraffic
from metrics.queries import (
    GroupBy,
    MetricPoint,
    Scope,
    groups_of,
    read_traffic,
    requests_per_day,
    top_tenants,
    total_of,
)
from metrics.reporting.date_ranges import GRANULARITIES, DateRange, choose_date_range
from metrics.reporting.gaps import fill_gaps
from metrics.reporting.render import MetricsQuestion, stream_json
from subscriptions.models import Subscription
from tests.factories import ApiFactory
from tests.metrics.traffic import NOW, fold_all, record_of, report

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]

MIDNIGHT = NOW.replace(hour=0, minute=0, second=0)


def date_range_of(granularity: str, days: int = 1) -> DateRange:
    """The last ``days`` days, today included."""
    return choose_date_range(granularity, MIDNIGHT.date() - timedelta(days=days - 1), MIDNIGHT.date())


def counts(points: list[MetricPoint]) -> list[tuple[datetime, str | None, int]]:
    return [(point.bucket, point.group, point.summary.requests) for point in points]


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_what_was_accepted_a_moment_ago_is_in_the_answer(mobile: Subscription, granularity: str) -> None:
    report(record_of(mobile), record_of(mobile))
    fold_all()
    report(record_of(mobile))

    (point,) = read_traffic(Scope(mobile.tenant_id), date_range_of(granularity))
    assert point.summary.requests == 3


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize(
    "draw",
    [
        lambda chance: chance.lognormvariate(4.5, 0.8),
        lambda chance: chance.choice([chance.gauss(20, 3), chance.gauss(2_000, 300)]),
        lambda _chance: 250.0,
    ],
    ids=["lognormal", "bimodal", "constant"],
)
def test_percentiles_are_within_one_per_cent_at_every_granularity(
    mobile: Subscription, granularity: str, draw: Callable[[random.Random], float]
) -> None:
    chance = random.Random(granularity)  # noqa: S311 - repeatable, and no secret
    latencies = [max(0, round(draw(chance))) for _ in range(3_000)]
    times = [NOW - timedelta(seconds=chance.randrange(86_400)) for _ in latencies]
    records = [record_of(mobile, at, latency_ms=latency) for at, latency in zip(times, latencies, strict=True)]
    for start in range(0, 3_000, 1_000):
        report(*records[start : start + 1_000])
        if start < 2_000:
            fold_all()

    date_range = date_range_of(granularity, days=2)
    for point in read_traffic(Scope(mobile.tenant_id), date_range):
        own = sorted(ms for at, ms in zip(times, latencies, strict=True) if date_range.bucket_of(at) == point.bucket)
        for rank, estimate in zip((50, 95, 99), point.summary.percentiles(50, 95, 99), strict=True):
            exact = own[ceil(rank * len(own) / 100) - 1]
            assert estimate is not None
            assert abs(estimate - exact) * 100 <= exact


@pytest.mark.parametrize("granularity", ["minute", "hour", "day"])
@pytest.mark.parametrize("folded", ["folded", "tail"])
def test_each_scope_sees_its_own(
    mobile: Subscription, payments: Api, foreign: Subscription, granularity: str, folded: str
) -> None:
    refunds = ApiFactory(tenant=payments.tenant)
    report(record_of(mobile), record_of(payments), record_of(payments), *[record_of(refunds)] * 4)
    report(record_of(foreign))
    if folded == "folded":
        fold_all()

    def total(scope: Scope, group_by: GroupBy | None = None) -> int:
        return total_of(read_traffic(scope, date_range_of(granularity), group_by)).requests

    for group_by in (None, *GroupBy):
        assert total(Scope(mobile.tenant_id), group_by) == 7
        assert total(Scope(mobile.tenant_id, api_id=payments.id), group_by) == 3
        assert total(Scope(mobile.tenant_id, subscription_id=mobile.id), group_by) == 1


@pytest.mark.parametrize("granularity", ["minute", "hour", "day"])
def test_groups_are_told_apart(mobile: Subscription, payments: Api, granularity: str) -> None:
    refunds = ApiFactory(tenant=payments.tenant)
    report(record_of(mobile), record_of(mobile, status=404), record_of(payments, status=500), record_of(refunds))
    fold_all()
    report(record_of(mobile))

    def grouped(group_by: GroupBy) -> dict[str | None, int]:
        points = read_traffic(Scope(mobile.tenant_id), date_range_of(granularity), group_by)
        return {point.group: point.summary.requests for point in points}

    assert grouped(GroupBy.API) == {payments.id: 4, refunds.id: 1}
    assert grouped(GroupBy.SUBSCRIPTION) == {mobile.id: 3, None: 2}
    assert grouped(GroupBy.STATUS) == {"2xx": 3, "4xx": 1, "5xx": 1}


def test_weeks_begin_on_monday_and_months_on_the_first(mobile: Subscription) -> None:
    times = [
        datetime(2025, 1, 5, 23, 59, tzinfo=UTC),
        datetime(2025, 1, 6, tzinfo=UTC),
        datetime(2025, 2, 1, tzinfo=UTC),
    ]
    report(*(record_of(mobile, at) for at in times))

    def buckets(granularity: str) -> list[date]:
        date_range = choose_date_range(granularity, date(2025, 1, 1), date(2025, 2, 28))
        return [point.bucket.date() for point in read_traffic(Scope(mobile.tenant_id), date_range)]

    assert buckets("week") == [date(2024, 12, 30), date(2025, 1, 6), date(2025, 1, 27)]
    assert buckets("month") == [date(2025, 1, 1), date(2025, 2, 1)]


def test_both_dates_are_inclusive(mobile: Subscription) -> None:
    days = [datetime(2025, 1, day, hour, tzinfo=UTC) for day, hour in ((8, 23), (9, 0), (10, 23), (11, 0))]
    report(*(record_of(mobile, at) for at in days))
    fold_all()

    points = read_traffic(Scope(mobile.tenant_id), choose_date_range("day", date(2025, 1, 9), date(2025, 1, 10)))
    assert [point.bucket.day for point in points] == [9, 10]


@pytest.mark.parametrize(
    ("granularity", "points"), [("minute", 2 * 1440), ("hour", 48), ("day", 2), ("week", 1), ("month", 1)]
)
def test_gaps_can_be_filled(granularity: str, points: int) -> None:
    date_range = choose_date_range(granularity, date(2025, 1, 7), date(2025, 1, 8))
    filled = list(fill_gaps([], date_range))
    assert len(filled) == points
    assert {point.summary.requests for point in filled} == {0}


def test_gaps_are_filled_for_every_group_that_had_traffic(mobile: Subscription) -> None:
    report(record_of(mobile, MIDNIGHT - timedelta(days=1)), record_of(mobile, MIDNIGHT, status=404))

    date_range = date_range_of("day", days=2)
    scope = Scope(mobile.tenant_id)
    groups = groups_of(scope, date_range, GroupBy.STATUS)
    points = fill_gaps(read_traffic(scope, date_range, GroupBy.STATUS), date_range, groups)

    assert [(point.bucket.date() == MIDNIGHT.date(), point.group, point.summary.requests) for point in points] == [
        (False, "2xx", 1),
        (False, "4xx", 0),
        (True, "2xx", 0),
        (True, "4xx", 1),
    ]


@pytest.mark.parametrize("group_by", [None, *GroupBy])
def test_an_answer_is_one_statement(
    mobile: Subscription, group_by: GroupBy | None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        list(read_traffic(Scope(mobile.tenant_id), date_range_of("day"), group_by))


@pytest.mark.parametrize("granularity", ["day", "week", "month"])
@pytest.mark.parametrize("fill", [False, True])
def test_a_long_answer_is_read_in_portions(
    mobile: Subscription, payments: Api, monkeypatch: pytest.MonkeyPatch, granularity: str, *, fill: bool
) -> None:
    """By days of 500 APIs, 400 days were 200,000 points: 30 MB of answer, and 400 MB more in the process."""
    days = (0, 1, 5, 9, 10, 33, 70)
    report(*(record_of(called, MIDNIGHT - timedelta(days=day)) for day in days for called in (mobile, payments)))
    fold_all()
    report(record_of(mobile))
    date_range = date_range_of(granularity, days=90)

    def answers() -> list[Any]:
        scope = Scope(mobile.tenant_id)
        return [answer(MetricsQuestion(scope, date_range, group, fill=fill)) for group in GroupBy]

    whole = answers()
    monkeypatch.setattr(queries, "BUCKETS_AT_FIRST", 1)
    monkeypatch.setattr(queries, "ROWS_AT_ONCE", 1)
    assert answers() == whole
    assert {each["totals"]["requests"] for each in whole} == {2 * len(days) + 1}


def answer(question: MetricsQuestion) -> Any:
    return json.loads("".join(stream_json(question)))


@pytest.mark.parametrize("granularity", ["hour", "day", "week", "month"])
@pytest.mark.parametrize("seed", range(5))
def test_answers_from_histograms_are_those_from_sketches(
    mobile: Subscription, payments: Api, granularity: str, seed: int
) -> None:
    """The newest traffic is not folded. The second answer is read with half of the histograms, the third with none."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, and no secret
    for _batch in range(4):
        fold_all()
        report(*(random_record(chance, chance.choice([mobile, payments])) for _ in range(250)))

    def answers() -> list[dict[str, Any]]:
        scopes = (Scope(mobile.tenant_id), Scope(mobile.tenant_id, api_id=payments.id))
        date_range = date_range_of(granularity, days=30)
        asked = product(scopes, (None, *GroupBy))
        return [answer(MetricsQuestion(scope, date_range, group, fill=True)) for scope, group in asked]

    from_histograms = answers()
    HourTraffic.objects.filter(bucket__hour__lt=12).update(histogram=None)
    DayTraffic.objects.filter(bucket__day__lt=15).update(histogram=None)
    assert answers() == from_histograms
    HourTraffic.objects.update(histogram=None)
    DayTraffic.objects.update(histogram=None)
    assert answers() == from_histograms


def random_record(chance: random.Random, called: Subscription | Api) -> dict[str, Any]:
    """A call within the last 29 days."""
    return record_of(
        called,
        NOW - timedelta(seconds=chance.randrange(29 * 86_400)),
        latency_ms=round(chance.lognormvariate(4.5, 2)),
        status=chance.choice([200, 200, 200, 404, 503]),
    )


def test_an_answer_from_histograms_leaves_the_sketches_where_they_are(mobile: Subscription) -> None:
    report(record_of(mobile))
    fold_all()
    DayTraffic.objects.update(sketch=b"unreadable")

    (point,) = read_traffic(Scope(mobile.tenant_id), date_range_of("day"))
    assert point.summary.percentiles(50) == [87]


def test_the_dashboard_sees_all_tenants(mobile: Subscription, foreign: Subscription) -> None:
    yesterday = NOW - timedelta(days=1)
    report(record_of(mobile), *[record_of(foreign, yesterday)] * 3)
    fold_all()
    report(record_of(mobile))

    assert requests_per_day(3) == [
        (MIDNIGHT.date() - timedelta(days=2), 0),
        (MIDNIGHT.date() - timedelta(days=1), 3),
        (MIDNIGHT.date(), 2),
    ]
    assert top_tenants(3, 10) == [("globex", 3), ("acme", 2)]
    assert top_tenants(1, 1) == [("acme", 2)]
