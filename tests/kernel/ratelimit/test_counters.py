"""Counters on PostgreSQL and on Redis: one set of rules, exact however many count at once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import time_machine
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.redis import RedisCache
from django.http import HttpRequest
from django.utils import timezone
from django_ratelimit.core import get_usage
from pytest_django import DjangoAssertNumQueries, Settings

from stoa_cp.ratelimit.counters import PostgresCounters, delete_expired_counters
from stoa_cp.ratelimit.models import Counter
from tests.races import at_once
from tests.stores import redis_server

pytestmark = pytest.mark.django_db

HOUR_SECONDS = 3_600


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(params=["postgres", "redis"])
def counters(request: pytest.FixtureRequest) -> Iterator[BaseCache]:
    if request.param == "postgres":
        yield PostgresCounters("", {})
        return
    cache = RedisCache(request.getfixturevalue("redis_url"), {})
    yield cache
    cache.clear()
    cache._cache.get_client().connection_pool.disconnect()


def test_a_counter_starts_once_and_counts_from_there(counters: BaseCache) -> None:
    assert counters.add("calls", 1, HOUR_SECONDS)
    assert not counters.add("calls", 1, HOUR_SECONDS)
    assert counters.incr("calls") == 2
    assert counters.incr("calls", 10) == 12
    assert counters.decr("calls", 2) == 10
    assert counters.get("calls") == 10


def test_a_missing_counter_is_not_made_by_counting(counters: BaseCache) -> None:
    with pytest.raises(ValueError, match="not found"):
        counters.incr("calls")
    assert counters.get("calls") is None
    assert counters.get("calls", 0) == 0
    assert "calls" not in counters
    assert not counters.touch("calls")
    assert not counters.delete("calls")


def test_a_counter_can_be_set_touched_and_deleted(counters: BaseCache) -> None:
    counters.set("calls", 5, HOUR_SECONDS)
    counters.set("calls", 7, HOUR_SECONDS)
    assert counters.touch("calls", 2 * HOUR_SECONDS)
    assert counters.get_many(["calls", "others"]) == {"calls": 7}
    assert counters.delete("calls")
    assert not counters.delete("calls")


def test_an_expired_counter_is_as_good_as_none(counters: BaseCache) -> None:
    counters.set("calls", 7, HOUR_SECONDS)
    counters.touch("calls", 0)
    assert counters.get("calls") is None
    assert not counters.touch("calls", HOUR_SECONDS)
    with pytest.raises(ValueError, match="not found"):
        counters.incr("calls")
    assert counters.add("calls", 1, HOUR_SECONDS)
    assert counters.incr("calls") == 2


def test_a_counter_without_a_time_out_stays(counters: BaseCache) -> None:
    counters.set("calls", 1, None)
    assert counters.incr("calls") == 2
    assert not counters.add("calls", 1, HOUR_SECONDS)


def test_counters_do_not_believe_the_clock_of_the_process(counters: BaseCache) -> None:
    counters.set("calls", 1, HOUR_SECONDS)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=2)):
        assert counters.incr("calls") == 2


def test_clearing_forgets_everything(counters: BaseCache) -> None:
    counters.set("calls", 1, HOUR_SECONDS)
    counters.clear()
    assert counters.get("calls") is None


@pytest.mark.django_db(transaction=True)
def test_of_many_counting_at_once_no_two_see_the_same_number(counters: BaseCache) -> None:
    counters.set("calls", 0, HOUR_SECONDS)

    def count_25_times() -> list[int]:
        return [counters.incr("calls") for _call in range(25)]

    seen = [number for numbers in at_once(*[count_25_times] * 16) for number in numbers]
    assert sorted(seen) == list(range(1, 16 * 25 + 1))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_left_over", [False, True], ids=["no row", "an expired row"])
def test_of_many_opening_a_window_at_once_one_does(
    counters: BaseCache,
    is_left_over: bool,  # noqa: FBT001 - a column
) -> None:
    if is_left_over:
        counters.set("calls", 99, HOUR_SECONDS)
        counters.touch("calls", 0)

    def add_or_count() -> int:
        return 1 if counters.add("calls", 1, HOUR_SECONDS) else counters.incr("calls")

    assert sorted(at_once(*[add_or_count] * 16)) == list(range(1, 17))


@pytest.mark.django_db(transaction=True)
def test_of_64_calls_with_ten_left_ten_pass(
    counters: BaseCache, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RATELIMIT_USE_CACHE = "counters"
    monkeypatch.setattr("django_ratelimit.core.caches", {"counters": counters})

    def call() -> bool:
        usage = get_usage(
            HttpRequest(),
            group="v1",
            key=lambda _group, _request: "acme",
            rate=(10, HOUR_SECONDS),
            increment=True,
        )
        return not usage["should_limit"]

    assert at_once(*[call] * 64).count(True) == 10


def test_every_operation_is_one_statement(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    counters = PostgresCounters("", {})
    for operation in (
        partial(counters.add, "calls", 1),
        partial(counters.incr, "calls"),
        partial(counters.get, "calls"),
        partial(counters.set, "calls", 1),
        partial(counters.touch, "calls"),
        partial(counters.delete, "calls"),
    ):
        with django_assert_num_queries(1):
            operation()


def test_the_sweep_takes_expired_rows_only() -> None:
    now = timezone.now()
    Counter.objects.create(key="over", value=1, expires_at=now - timedelta(seconds=1))
    Counter.objects.create(key="open", value=1, expires_at=now + timedelta(hours=1))
    Counter.objects.create(key="endless", value=1, expires_at=None)
    assert delete_expired_counters() == 1
    assert set(Counter.objects.values_list("key", flat=True)) == {"open", "endless"}
