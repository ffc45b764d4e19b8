"""Revoking a subscription: every key stops with it."""

from collections.abc import Callable
from functools import partial

import pytest

from subscriptions.models import Subscription
from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, NOT_FOUND, WRONG_STATE, invalid, refusal_of
from tests.conftest import Caller
from tests.factories import ApiKeyFactory, SubscriptionFactory, TenantFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def subscription(acme: Tenant) -> Subscription:
    return SubscriptionFactory(tenant=acme, active=True)


def path_of(subscription: Subscription) -> str:
    return f"/v1/tenants/{subscription.tenant_id}/subscriptions/{subscription.id}"


def test_a_revoked_subscription_stays_readable(alice: Caller, subscription: Subscription) -> None:
    response = alice.delete(path_of(subscription), {"reason": "contract ended"})

    assert (response.status_code, response.content) == (204, b"")
    left = alice.get(path_of(subscription)).json()
    assert (left["status"], left["status_reason"]) == ("revoked", "contract ended")


def test_the_reason_may_be_left_out(alice: Caller, subscription: Subscription) -> None:
    assert alice.delete(path_of(subscription)).status_code == 204


def test_the_revocation_is_in_the_log(alice: Caller, subscription: Subscription) -> None:
    alice.delete(path_of(subscription), {"reason": "contract ended"})

    event = log.last_event()
    assert log.types() == ["subscription.revoked"]
    assert (event.actor, event.data["status_reason"]) == (log.subject("alice"), "contract ended")


def test_every_key_stops_at_once(alice: Caller, subscription: Subscription) -> None:
    keys = [ApiKeyFactory(subscription=subscription) for _number in range(2)]
    assert alice.get(path_of(subscription)).json()["api_key"] is not None

    alice.delete(path_of(subscription))

    assert alice.get(path_of(subscription)).json()["api_key"] is None
    for key in keys:
        path = f"/v1/tenants/acme/apikeys/{key.id}"
        assert alice.get(path).json()["status"] == "revoked"
        assert refusal_of(alice.post(f"{path}/rotate")) == WRONG_STATE
    body = {"subscription_id": subscription.id, "name": "new"}
    assert refusal_of(alice.post("/v1/tenants/acme/apikeys", body)) == WRONG_STATE


@pytest.mark.parametrize("status", ["pending_approval", "active", "suspended"])
def test_a_live_subscription_is_revoked_whatever_it_does(alice: Caller, acme: Tenant, status: str) -> None:
    subscription = SubscriptionFactory(tenant=acme, active=True, status=status)

    assert alice.delete(path_of(subscription)).status_code == 204


@pytest.mark.parametrize("status", ["rejected", "revoked", "expired"])
def test_one_that_is_over_is_not_there_to_revoke(alice: Caller, acme: Tenant, status: str) -> None:
    subscription = SubscriptionFactory(tenant=acme, active=True, status=status)

    assert refusal_of(alice.delete(path_of(subscription))) == NOT_FOUND
    assert alice.get(path_of(subscription)).json()["status"] == status


def test_a_wrong_body_is_refused(alice: Caller, subscription: Subscription) -> None:
    assert refusal_of(alice.delete(path_of(subscription), {"reason": 7})) == invalid("reason")
    assert refusal_of(alice.delete(path_of(subscription), {"x": 7})) == invalid("x", "unknown_field")


@pytest.mark.parametrize("name", ["dave", "victor"])
def test_only_owners_revoke(call_as: Callable[[str], Caller], subscription: Subscription, name: str) -> None:
    assert refusal_of(call_as(name).delete(path_of(subscription))) == MISSING_ROLE


def test_a_stranger_finds_nothing(bob: Caller, globex: Tenant, subscription: Subscription) -> None:
    assert refusal_of(bob.delete(path_of(subscription))) == NOT_FOUND
    assert refusal_of(bob.delete(f"/v1/tenants/globex/subscriptions/{subscription.id}")) == NOT_FOUND


@pytest.mark.django_db(transaction=True)
def test_of_two_revocations_at_once_one_succeeds(alice: Caller) -> None:
    subscription = SubscriptionFactory(tenant=TenantFactory(name="acme"))

    responses = at_once(*[lambda: alice.delete(path_of(subscription))] * 4)

    assert sorted(response.status_code for response in responses) == [204, 404, 404, 404]
    assert log.types() == ["subscription.revoked"]


@pytest.mark.django_db(transaction=True)
def test_no_key_is_issued_to_a_subscription_that_is_being_revoked(alice: Caller) -> None:
    tenant = TenantFactory(name="acme")
    for _round in range(8):
        subscription = SubscriptionFactory(tenant=tenant, active=True)
        body = {"subscription_id": subscription.id, "name": "key"}

        issued, revoked = at_once(
            partial(alice.post, "/v1/tenants/acme/apikeys", body),
            partial(alice.delete, path_of(subscription)),
        )

        assert (issued.status_code, revoked.status_code) in ((201, 204), (409, 204))
        assert log.types()[-1] == "subscription.revoked"
