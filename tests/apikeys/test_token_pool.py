"""Token pools: each token is taken once; and limits stay exact while Redis is away."""

import socket
from collections.abc import Iterator
from time import monotonic

import pytest
from pytest_django import Settings

from apikeys.decisions.cache import decision_cache
from apikeys.decisions.call import Call
from apikeys.decisions.decide import decide
from apikeys.decisions.token_pool import COOL_DOWN_SECONDS, LocalTokenPool, RedisTokenPool, TokenPool, open_token_pool
from apikeys.models import Meter
from stoa_cp.devserver.cluster import free_port
from subscriptions.models import Subscription
from tests.listening import listener
from tests.races import at_once
from tests.stores import redis_server
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["local", "redis"])
def pool(request: pytest.FixtureRequest) -> Iterator[TokenPool]:
    if request.param == "local":
        yield LocalTokenPool()
        return
    with redis_server() as url:
        yield RedisTokenPool(url)


def test_a_token_is_taken_once(pool: TokenPool) -> None:
    assert pool.add("a", 2_000) == 0
    assert sum(at_once(*[lambda: sum(pool.take("a", 1) for _call in range(1_000))] * 4)) == 2_000
    assert pool.drain("a") == 0


def test_a_cost_is_taken_whole_or_not_at_all(pool: TokenPool) -> None:
    pool.add("a", 5)
    pool.add("a", 2)
    assert [pool.take("a", 4), pool.take("a", 4), pool.take("b", 1)] == [True, False, False]
    assert (pool.drain("a"), pool.drain("a")) == (3, 0)


def test_processes_share_tokens_in_redis() -> None:
    with redis_server() as url:
        one, other = RedisTokenPool(url), RedisTokenPool(url)
        one.add("a", 2)
        assert (other.take("a", 1), one.take("a", 1), other.take("a", 1)) == (True, True, False)


def test_a_setting_selects_the_pool(settings: Settings) -> None:
    assert isinstance(open_token_pool(), LocalTokenPool)
    settings.STOA_COUNTER_URL = "redis://127.0.0.1:1/0"
    assert isinstance(open_token_pool(), RedisTokenPool)


@pytest.fixture
def silent_redis() -> Iterator[str]:
    """A Redis that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"


def calls(secret: str, count: int) -> int:
    return sum(decide(Call(secret)).is_allowed for _call in range(count))


@pytest.mark.deadline
def test_while_redis_is_silent_the_database_decides_on_every_call(
    secret: str, silent_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Subscription.objects.update(rate_limit=100, quota=None)
    monkeypatch.setattr(decision_cache, "pool", RedisTokenPool(silent_redis))
    with listener():
        started_at = monotonic()
        assert calls(secret, 120) == 100
        assert monotonic() - started_at < 15  # 120 times a quarter of a second, if each call waited for Redis
        wait_until(lambda: Meter.objects.get().hour_calls == 100)


def test_a_redis_that_goes_and_comes_back_costs_no_call_too_many(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Subscription.objects.update(rate_limit=1_000, quota=None)
    port = free_port(0)
    with redis_server(port) as url:
        pool = RedisTokenPool(url)
        monkeypatch.setattr(decision_cache, "pool", pool)
        with listener():
            passed = calls(secret, 30)
    with listener():
        passed += calls(secret, 30)
        assert passed == 60
        with redis_server(port):
            wait_until(pool.is_available)
            passed += calls(secret, 1_000)
    assert 1_000 - 2 * 256 <= passed <= 1_000
    assert Meter.objects.get().hour_calls == 1_000
    assert COOL_DOWN_SECONDS <= 1
