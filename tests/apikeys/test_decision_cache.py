"""Cached decisions: limits are as exact as in the database, and a change ends them at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event as Flag
from threading import Thread
from time import sleep

import pytest
from django.db import OperationalError, connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from apikeys.decisions import cache as cache_module
from apikeys.decisions import decide as decisions_decide
from apikeys.decisions.cache import IDLE_SECONDS, MAX_BLOCK_CALLS, DecisionCache, decision_cache
from apikeys.decisions.call import Call
from apikeys.decisions.decide import Decision, decide
from apikeys.decisions.meters import reset_meter
from apikeys.decisions.statement import Facts
from apikeys.decisions.token_leases import TokenLease, return_tokens
from apikeys.decisions.token_pool import LocalTokenPool, RedisTokenPool, TokenPool
from apikeys.models import ApiKey, LeaseState, Meter
from apikeys.services import keys
from apikeys.services.revocations import revoke_key
from catalog.models import Api
from catalog.routing import read_target
from stoa_cp.caching.barrier import wait_for_invalidation
from stoa_cp.caching.cache import Lease
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.models import Event
from subscriptions.models import Subscription
from subscriptions.services.subscriptions import update_subscription
from tests.apikeys.conftest import Edge, Issue
from tests.factories import ApiFactory
from tests.listening import list_cache, listener
from tests.races import at_once
from tests.stores import redis_server
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("keys_never_idle")]


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(autouse=True, params=["local", "redis"])
def pool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> TokenPool:
    """The tokens are each process's own, or shared through Redis."""
    pool = LocalTokenPool() if request.param == "local" else RedisTokenPool(request.getfixturevalue("redis_url"))
    monkeypatch.setattr(decision_cache, "pool", pool)
    return pool


@pytest.fixture(autouse=True)
def listening(transactional_db: None, pool: TokenPool) -> Iterator[None]:
    with listener():
        yield


def limit(**limits: int | None) -> None:
    Subscription.objects.update(**{"rate_limit": None, "quota": None} | limits)
    wait_for_invalidation()


def calls(secret: str, count: int) -> int:
    """Make calls one after the other; return how many passed."""
    return sum(decide(Call(secret)).is_allowed for _call in range(count))


def return_all_tokens() -> None:
    """Drop all decisions and return their tokens, as an idle process does."""
    decision_cache.invalidate(None)


@contextmanager
def another_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[DecisionCache]:
    """Decide as a process with a cache of its own, which keeps its tokens until an invalidation."""
    other = DecisionCache(LocalTokenPool() if isinstance(decision_cache.pool, LocalTokenPool) else decision_cache.pool)
    list_cache(other, monkeypatch)
    with monkeypatch.context() as patched:
        patched.setattr(decisions_decide, "decision_cache", other)
        yield other


# --- Counting --------------------------------------------------------------------------------------------------------


def test_a_busy_key_takes_no_query(secret: str, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    limit(quota=1_000_000)
    calls(secret, 20)
    with django_assert_num_queries(0):
        assert calls(secret, 50) == 50


def test_a_single_call_leases_no_token(secret: str) -> None:
    limit(quota=1_000_000)
    calls(secret, 1)
    meter = Meter.objects.get()
    assert (meter.month_calls, meter.hour_calls, meter.leases) == (1, 1, LeaseState.NONE)


def test_unused_tokens_are_returned_when_the_key_is_idle(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(quota=1_000_000)
    calls(secret, 20)
    assert Meter.objects.get().month_calls > 20
    monkeypatch.setattr(cache_module, "IDLE_SECONDS", IDLE_SECONDS)
    wait_until(lambda: Meter.objects.get().month_calls == 20)
    assert Meter.objects.get().hour_calls == 20


def test_a_process_never_holds_more_than_one_largest_block(secret: str) -> None:
    limit()
    for count in range(1, 1_000):
        calls(secret, 1)
        assert Meter.objects.get().month_calls - count < MAX_BLOCK_CALLS


@pytest.mark.parametrize("field", ["rate_limit", "quota"])
def test_of_150_calls_one_hundred_pass(secret: str, field: str) -> None:
    limit(**{field: 100})
    assert calls(secret, 150) == 100
    assert Meter.objects.get().month_calls == 100


def test_the_ceiling_of_an_api_is_exact(secret: str, payments: Api) -> None:
    limit()
    Api.objects.update(requests_per_hour=100)
    wait_for_invalidation()
    assert calls(secret, 150) == 100
    assert set(Meter.objects.values_list("hour_calls", flat=True)) == {100}


def test_the_remaining_calls_count_down_from_call_to_call(edge: Edge, secret: str) -> None:
    limit(rate_limit=1_000, quota=2_000)
    for made in range(1, 40):
        report = edge.verify(secret).json()
        assert (report["rate_limit"]["remaining"], report["quota"]["used"]) == (1_000 - made, made)


def test_a_quota_is_announced_by_the_call_that_reaches_it(secret: str) -> None:
    limit(quota=200)
    for made, announced in ((159, []), (1, [160]), (39, [160]), (1, [160, 200])):
        assert calls(secret, made) == made
        events = Event.objects.filter(type__startswith="quota.").order_by("sequence")
        assert [event.data["used"] for event in events] == announced


def test_a_cost_is_taken_from_the_block_whole(secret: str) -> None:
    limit(quota=100)
    costs = [decide(Call(secret, cost=7)).is_allowed for _call in range(20)]
    assert costs.count(True) == 14
    assert Meter.objects.get().month_calls == 98


# --- Several processes -----------------------------------------------------------------------------------------------


def test_a_call_without_a_token_gets_one_of_another_process(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(rate_limit=400)
    with another_process(monkeypatch):
        passed = calls(secret, 30)
        assert Meter.objects.get().hour_calls > 30
    while decide(Call(secret)).is_allowed:
        passed += 1
    assert passed == 400
    meter = Meter.objects.get()
    assert (meter.hour_calls, meter.leases) == (400, LeaseState.NONE)


def test_of_many_at_once_as_many_pass_as_are_left_although_another_process_has_tokens(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _round in range(5):
        limit(rate_limit=400)
        with another_process(monkeypatch):
            passed = calls(secret, 30)
        passed += calls(secret, 350)
        passed += sum(decision.is_allowed for decision in at_once(*[lambda: decide(Call(secret))] * 64))
        assert passed == 400
        reset_meter(Meter.objects.get(), by=SYSTEM)


@contextmanager
def a_call_that_is_being_decided(secret: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flag]:
    """Hold a call between its answer from the database and what becomes of that, until the flag is set."""
    is_answered, goes_on = Flag(), Flag()
    reason_of = decisions_decide.reason_of

    def pause(facts: Facts) -> object:
        is_answered.set()
        goes_on.wait(5)
        return reason_of(facts)

    def call() -> None:
        calls(secret, 1)
        connection.close()

    with monkeypatch.context() as slow:
        slow.setattr(decisions_decide, "reason_of", pause)
        late = Thread(target=call)
        late.start()
        is_answered.wait(5)
        yield goes_on
        goes_on.set()
        late.join()


def test_an_invalidation_waits_for_statements_in_progress(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(quota=1_000)
    calls(secret, 1)
    monkeypatch.setattr(cache_module, "LOAD_WAIT_SECONDS", 5)
    with a_call_that_is_being_decided(secret, monkeypatch) as goes_on:
        assert Meter.objects.get().month_calls == 17
        goes_on.set()
        return_all_tokens()
        assert Meter.objects.get().month_calls == 2


def test_what_changes_while_it_is_loaded_is_not_cached(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(quota=1_000)
    calls(secret, 1)
    with a_call_that_is_being_decided(secret, monkeypatch) as goes_on:
        revoke_key(ApiKey.objects.get(), by=SYSTEM)
        goes_on.set()
    assert decide(Call(secret)).reason == "key_revoked"
    wait_until(lambda: Meter.objects.get().month_calls == 2)


# --- Changes ---------------------------------------------------------------------------------------------------------


Change = Callable[[Subscription], object]
CHANGES: dict[str, tuple[Change, str]] = {
    "a revoked key": (lambda mobile: revoke_key(mobile.api_keys.get(), by=SYSTEM), "key_revoked"),
    "a rotated key": (lambda mobile: keys.rotate_key(mobile.api_keys.get(), 0, by=SYSTEM), "key_revoked"),
    "a restricted key": (
        lambda mobile: keys.update_key(mobile.api_keys.get(), {"allowed_methods": ["GET"]}, by=SYSTEM),
        "method_not_allowed",
    ),
    "a lowered limit": (lambda mobile: update_subscription(mobile, {"rate_limit": 20}, by=SYSTEM), "rate_limited"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_next_call_after_a_change_is_decided_by_it(mobile: Subscription, secret: str, what: str) -> None:
    change, reason = CHANGES[what]
    limit(rate_limit=1_000)
    assert calls(secret, 30) == 30
    change(mobile)
    assert decide(Call(secret)).reason == reason


def test_a_key_expires_in_time(issue: Issue) -> None:
    expires_at = timezone.now() + timedelta(seconds=1)
    _key, secret = issue(expires_at=expires_at)
    limit()
    calls(secret, 3)
    asked_at = timezone.now()
    while decide(Call(secret)).is_allowed:
        assert asked_at < expires_at
        sleep(0.02)  # often enough to stay cached, and not so often that the block is used up
        asked_at = timezone.now()
    assert decide(Call(secret)).reason == "key_expired"


def test_a_reset_begins_at_zero_although_tokens_are_leased(secret: str) -> None:
    limit(rate_limit=400)
    assert calls(secret, 30) == 30
    reset_meter(Meter.objects.get(), by=SYSTEM)
    assert calls(secret, 500) == 400


def test_tokens_from_before_a_reset_are_not_returned(secret: str) -> None:
    limit(quota=1_000)
    calls(secret, 2)
    before = decide(Call(secret)).facts
    assert before
    reset_meter(Meter.objects.get(), by=SYSTEM)
    calls(secret, 5)
    return_all_tokens()
    return_tokens([TokenLease(before.subjects, 4, before.hour, before.month, before.decided_at)])
    assert Meter.objects.get().month_calls == 5


def test_tokens_are_returned_to_the_hour_and_the_month_that_counted_them(secret: str) -> None:
    calls(secret, 5)
    return_all_tokens()
    meter = Meter.objects.get()
    hour = timedelta(hours=1)
    return_tokens([TokenLease([meter.subject], 2, meter.hour - hour, meter.month, timezone.now())])
    meter.refresh_from_db()
    assert (meter.hour_calls, meter.month_calls) == (5, 3)


def test_unused_tokens_of_the_hour_before_are_returned(secret: str) -> None:
    limit(quota=1_000)
    calls(secret, 2)
    (cached,) = decision_cache._decisions.values()
    decision_cache.pool.add("the hour before", decision_cache.pool.drain(cached.block or ""))
    cached.block, cached.ends_at = "the hour before", 0.0
    calls(secret, 1)
    assert decision_cache.pool.drain("the hour before") == 0
    return_all_tokens()
    assert Meter.objects.get().month_calls == 3


def test_tokens_that_cannot_be_returned_stay_queued(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_leases: object) -> None:
        raise OperationalError

    limit(quota=1_000)
    calls(secret, 3)
    with monkeypatch.context() as broken:
        broken.setattr(cache_module, "return_tokens", fail)
        with pytest.raises(OperationalError):
            return_all_tokens()
    assert Meter.objects.get().month_calls > 3
    decision_cache.expire_idle()
    assert Meter.objects.get().month_calls == 3


def test_without_a_lease_every_call_takes_a_query(
    secret: str, django_assert_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls(secret, 10)
    monkeypatch.setattr(Lease, "is_held", lambda _lease: False)
    with django_assert_num_queries(5):
        assert calls(secret, 5) == 5


# --- Paths -----------------------------------------------------------------------------------------------------------


def ask(uri: str, secret: str) -> Decision:
    return decide(Call(secret, read_target(uri)))


def test_another_path_of_the_same_api_is_cached(secret: str, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    limit()
    for number in range(10):
        assert ask(f"/acme/payments/{number}", secret).is_allowed
    with django_assert_num_queries(0):
        assert ask("/acme/payments/refunds/7", secret).is_allowed


def test_a_new_api_takes_its_calls_from_a_shorter_path(secret: str, payments: Api) -> None:
    limit()
    for _call in range(10):
        assert ask("/acme/payments/refunds/7", secret).is_allowed
    ApiFactory(tenant=payments.tenant, path="/payments/refunds")
    wait_for_invalidation()
    assert ask("/acme/payments/refunds/7", secret).reason == "api_not_subscribed"
    assert ask("/acme/payments/7", secret).is_allowed


def test_an_open_api_is_cached_without_a_key(payments: Api, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    Api.objects.update(auth_required=False, requests_per_hour=1_000)
    wait_for_invalidation()
    for _call in range(10):
        assert decide(Call(None, read_target("/acme/payments"))).is_allowed
    with django_assert_num_queries(0):
        assert decide(Call(None, read_target("/acme/payments"))).is_allowed
    return_all_tokens()
    assert Meter.objects.get(subject=payments.id).hour_calls == 11


def test_the_number_of_cached_decisions_is_bounded(issue: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_ENTRIES", 2)
    secrets = [issue()[1] for _key in range(3)]
    limit()
    for secret in secrets:
        assert calls(secret, 2) == 2
    assert len(decision_cache) == 2
    return_all_tokens()
    assert Meter.objects.get().month_calls == 6
