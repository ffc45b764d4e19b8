"""Suspending a subscription, and resuming it."""

from collections.abc import Callable

import pytest

from subscriptions.models import Subscription
from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, NOT_FOUND, WRONG_STATE, invalid, refusal_of
from tests.conftest import Caller
from tests.factories import SubscriptionFactory, TenantFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def subscription(acme: Tenant) -> Subscription:
    return SubscriptionFactory(tenant=acme, active=True)


def path_of(subscription: Subscription, action: str) -> str:
    return f"/v1/tenants/{subscription.tenant_id}/subscriptions/{subscription.id}/{action}"


def test_a_suspended_subscription_says_why(alice: Caller, subscription: Subscription) -> None:
    suspended = alice.post(path_of(subscription, "suspend"), {"reason": "abuse"}).json()

    assert (suspended["status"], suspended["status_reason"]) == ("suspended", "abuse")
    event = log.last_event()
    assert (event.type, event.actor, event.data["status"]) == (
        "subscription.suspended",
        log.subject("alice"),
        "suspended",
    )


def test_a_resumed_subscription_keeps_its_terms_and_loses_the_reason(alice: Caller, subscription: Subscription) -> None:
    alice.post(path_of(subscription, "suspend"), {"reason": "abuse"})

    resumed = alice.post(path_of(subscription, "resume")).json()

    assert (resumed["status"], resumed["status_reason"], resumed["rate_limit"]) == ("active", "", 1000)
    assert log.types() == ["subscription.suspended", "subscription.resumed"]


@pytest.mark.parametrize("status", ["pending_approval", "suspended", "rejected", "revoked", "expired"])
def test_only_an_active_subscription_is_suspended(alice: Caller, acme: Tenant, status: str) -> None:
    subscription = SubscriptionFactory(tenant=acme, active=True, status=status)

    assert refusal_of(alice.post(path_of(subscription, "suspend"))) == WRONG_STATE


@pytest.mark.parametrize("status", ["pending_approval", "active", "rejected", "revoked", "expired"])
def test_only_a_suspended_subscription_is_resumed(alice: Caller, acme: Tenant, status: str) -> None:
    subscription = SubscriptionFactory(tenant=acme, active=True, status=status)

    assert refusal_of(alice.post(path_of(subscription, "resume"))) == WRONG_STATE


def test_a_wrong_body_is_refused(alice: Caller, subscription: Subscription) -> None:
    assert refusal_of(alice.post(path_of(subscription, "suspend"), {"reason": 7})) == invalid("reason")
    alice.post(path_of(subscription, "suspend"))
    refusal = refusal_of(alice.post(path_of(subscription, "resume"), {"reason": "paid"}))
    assert refusal == invalid("reason", "unknown_field")


@pytest.mark.parametrize("name", ["dave", "victor"])
@pytest.mark.parametrize("action", ["suspend", "resume"])
def test_only_owners_decide(
    call_as: Callable[[str], Caller], subscription: Subscription, name: str, action: str
) -> None:
    assert refusal_of(call_as(name).post(path_of(subscription, action))) == MISSING_ROLE


@pytest.mark.parametrize("action", ["suspend", "resume"])
def test_a_stranger_finds_nothing(bob: Caller, globex: Tenant, subscription: Subscription, action: str) -> None:
    assert refusal_of(bob.post(path_of(subscription, action))) == NOT_FOUND
    assert refusal_of(bob.post(f"/v1/tenants/globex/subscriptions/{subscription.id}/{action}")) == NOT_FOUND


@pytest.mark.django_db(transaction=True)
def test_of_two_suspensions_at_once_one_succeeds(alice: Caller) -> None:
    subscription = SubscriptionFactory(tenant=TenantFactory(name="acme"), active=True)
    for _round in range(3):
        responses = at_once(*[lambda: alice.post(path_of(subscription, "suspend"))] * 4)

        assert sorted(response.status_code for response in responses) == [200, 409, 409, 409]
        alice.post(path_of(subscription, "resume"))
