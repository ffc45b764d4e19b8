"""Rejecting a subscription."""

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
    return SubscriptionFactory(tenant=acme)


def path_of(subscription: Subscription) -> str:
    return f"/v1/tenants/{subscription.tenant_id}/subscriptions/{subscription.id}/reject"


def test_a_rejected_subscription_says_why_and_who(alice: Caller, subscription: Subscription) -> None:
    response = alice.post(path_of(subscription), {"reason": "no budget"})

    assert response.status_code == 200
    rejected = response.json()
    assert (rejected["status"], rejected["status_reason"], rejected["api_key"]) == ("rejected", "no budget", None)
    assert rejected["decided_by"] == log.subject("alice")
    assert rejected["decided_at"] is not None


def test_the_rejection_is_in_the_log(alice: Caller, subscription: Subscription) -> None:
    alice.post(path_of(subscription), {"reason": "no budget"})

    event = log.last_event()
    assert (event.type, event.actor) == ("subscription.rejected", log.subject("alice"))
    assert event.data["status_reason"] == "no budget"
    assert event.request_id


@pytest.mark.parametrize("status", ["active", "suspended", "rejected", "revoked", "expired"])
def test_only_a_pending_subscription_is_rejected(alice: Caller, acme: Tenant, status: str) -> None:
    subscription = SubscriptionFactory(tenant=acme, active=True, status=status)

    assert refusal_of(alice.post(path_of(subscription))) == WRONG_STATE


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"reason": 7}, "reason", "invalid"),
        ({"reason": "x" * 501}, "reason", "max_length"),
        ({"why": "x"}, "why", "unknown_field"),
    ],
)
def test_a_wrong_body_is_refused(
    alice: Caller, subscription: Subscription, body: dict[str, object], field: str, code: str
) -> None:
    assert refusal_of(alice.post(path_of(subscription), body)) == invalid(field, code)


@pytest.mark.parametrize("name", ["dave", "victor"])
def test_only_owners_reject(call_as: Callable[[str], Caller], subscription: Subscription, name: str) -> None:
    assert refusal_of(call_as(name).post(path_of(subscription))) == MISSING_ROLE


def test_a_stranger_finds_nothing(bob: Caller, globex: Tenant, subscription: Subscription) -> None:
    assert refusal_of(bob.post(path_of(subscription))) == NOT_FOUND
    assert refusal_of(bob.post(f"/v1/tenants/globex/subscriptions/{subscription.id}/reject")) == NOT_FOUND


@pytest.mark.django_db(transaction=True)
def test_of_twenty_rejections_at_once_one_succeeds(alice: Caller) -> None:
    subscription = SubscriptionFactory(tenant=TenantFactory(name="acme"))

    responses = at_once(*[lambda: alice.post(path_of(subscription))] * 20)

    assert sorted(response.status_code for response in responses) == [200] + [409] * 19
    assert log.types() == ["subscription.rejected"]
