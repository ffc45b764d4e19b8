"""Approving a subscription."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from pytest_django import Settings

from apikeys.models import ApiKey
from apikeys.services.access import grant_access
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Subscription
from subscriptions.services.approvals import approve_subscription, reject_subscription
from tenants.models import Tenant
from tenants.services import delete_tenant
from tests import log
from tests.answers import MISSING_ROLE, NOT_FOUND, WRONG_STATE, invalid, refusal_of
from tests.conftest import Caller
from tests.factories import SubscriptionFactory, TenantFactory
from tests.races import at_once, outcome_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def subscription(acme: Tenant) -> Subscription:
    return SubscriptionFactory(tenant=acme, created_by=log.subject("dave"))


def path_of(subscription: Subscription) -> str:
    return f"/v1/tenants/{subscription.tenant_id}/subscriptions/{subscription.id}"


def test_an_approved_subscription_has_the_plans_terms(alice: Caller, subscription: Subscription) -> None:
    response = alice.post(f"{path_of(subscription)}/approve")

    assert response.status_code == 200
    approved = response.json()
    assert approved["status"] == "active"
    assert (approved["rate_limit"], approved["quota"], approved["expires_at"]) == (1000, 50000, None)
    assert approved["decided_by"] == log.subject("alice")
    assert approved["decided_at"] is not None


@pytest.mark.parametrize(
    ("agreed", "terms"),
    [
        ({"rate_limit": 5}, (5, 50000, None)),
        ({"rate_limit": None, "quota": None}, (None, None, None)),
        ({"quota": 7, "expires_at": "2126-01-09T01:00:00+01:00"}, (1000, 7, "2126-01-09T00:00:00Z")),
    ],
)
def test_what_is_agreed_otherwise_counts(
    alice: Caller, subscription: Subscription, agreed: dict[str, Any], terms: tuple[Any, ...]
) -> None:
    approved = alice.post(f"{path_of(subscription)}/approve", agreed).json()

    assert (approved["rate_limit"], approved["quota"], approved["expires_at"]) == terms


def test_what_was_set_while_it_was_pending_counts(alice: Caller, subscription: Subscription) -> None:
    alice.patch(path_of(subscription), {"rate_limit": 5, "expires_at": "2126-01-09T00:00:00Z"})

    approved = alice.post(f"{path_of(subscription)}/approve", {"quota": 7}).json()

    assert (approved["rate_limit"], approved["quota"], approved["expires_at"]) == (5, 7, "2126-01-09T00:00:00Z")


def test_the_first_key_is_shown_in_this_one_answer(alice: Caller, subscription: Subscription) -> None:
    response = alice.post(f"{path_of(subscription)}/approve")

    secret = response.json()["api_key"]
    assert secret.startswith("stoa_live_")
    assert response["Cache-Control"] == "no-store"
    assert alice.get(path_of(subscription)).json()["api_key"] == secret[:14] + "…"
    assert secret not in alice.get("/v1/tenants/acme/subscriptions").content.decode()
    assert secret not in alice.get("/v1/tenants/acme/apikeys").content.decode()
    assert secret not in log.whole_log()


def test_the_key_may_be_left_for_later(alice: Caller, subscription: Subscription) -> None:
    approved = alice.post(f"{path_of(subscription)}/approve", {"issue_key": False}).json()

    assert approved["api_key"] is None
    assert not ApiKey.objects.exists()


def test_the_log_has_the_approval_and_the_key(alice: Caller, subscription: Subscription) -> None:
    alice.post(f"{path_of(subscription)}/approve", {"rate_limit": 5})

    approved, created = log.events()
    assert (approved.type, created.type) == ("subscription.approved", "apikey.created")
    assert {event.actor for event in (approved, created)} == {log.subject("alice")}
    assert approved.request_id == created.request_id != ""
    assert (approved.data["status"], approved.data["rate_limit"]) == ("active", 5)
    assert created.data["subscription_id"] == subscription.id


@pytest.mark.parametrize("status", ["active", "suspended", "rejected", "revoked", "expired"])
def test_only_a_pending_subscription_is_approved(alice: Caller, acme: Tenant, status: str) -> None:
    subscription = SubscriptionFactory(tenant=acme, active=True, status=status)

    response = alice.post(f"{path_of(subscription)}/approve")

    assert refusal_of(response) == WRONG_STATE
    assert response.json()["error"]["message"] == f"The subscription is {status}."
    assert not log.events().exists()


def test_a_second_approval_is_a_conflict(alice: Caller, subscription: Subscription) -> None:
    alice.post(f"{path_of(subscription)}/approve")

    assert refusal_of(alice.post(f"{path_of(subscription)}/approve")) == WRONG_STATE
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("rate_limit", 0, "min_value"),
        ("rate_limit", "1000", "invalid"),
        ("quota", -1, "min_value"),
        ("quota", True, "invalid"),
        ("expires_at", "2020-01-01T00:00:00Z", "invalid"),
        ("expires_at", "2126-01-09T00:00:00", "no_offset"),
        ("issue_key", "no", "invalid"),
        ("issue_key", None, "null"),
        ("plan", "premium", "unknown_field"),
    ],
)
def test_a_wrong_field_is_named(alice: Caller, subscription: Subscription, field: str, value: Any, code: str) -> None:
    assert refusal_of(alice.post(f"{path_of(subscription)}/approve", {field: value})) == invalid(field, code)
    subscription.refresh_from_db()
    assert subscription.status == "pending_approval"


def test_whoever_asked_may_approve_unless_the_house_forbids_it(
    alice: Caller, olga: Caller, acme: Tenant, settings: Settings
) -> None:
    settings.STOA_REQUIRE_SECOND_APPROVER = True
    own = SubscriptionFactory(tenant=acme, created_by=log.subject("alice"))

    response = alice.post(f"{path_of(own)}/approve")

    assert refusal_of(response) == (403, "forbidden", "", "second_approver_required")
    assert alice.get(path_of(own)).json()["status"] == "pending_approval"
    assert olga.post(f"{path_of(own)}/approve").status_code == 200
    settings.STOA_REQUIRE_SECOND_APPROVER = False
    another = SubscriptionFactory(tenant=acme, created_by=log.subject("alice"))
    assert alice.post(f"{path_of(another)}/approve").status_code == 200


@pytest.mark.parametrize("name", ["dave", "victor"])
def test_only_owners_approve(call_as: Callable[[str], Caller], subscription: Subscription, name: str) -> None:
    assert refusal_of(call_as(name).post(f"{path_of(subscription)}/approve")) == MISSING_ROLE


def test_a_stranger_finds_nothing(bob: Caller, globex: Tenant, subscription: Subscription) -> None:
    assert refusal_of(bob.post(f"{path_of(subscription)}/approve")) == NOT_FOUND
    assert refusal_of(bob.post(f"/v1/tenants/globex/subscriptions/{subscription.id}/approve")) == NOT_FOUND


@pytest.mark.django_db(transaction=True)
def test_of_twenty_approvals_at_once_one_succeeds_with_one_key(alice: Caller) -> None:
    tenant = TenantFactory(name="acme")
    for _round in range(3):
        subscription = SubscriptionFactory(tenant=tenant)
        approve = f"{path_of(subscription)}/approve"

        responses = at_once(*[partial(alice.post, approve)] * 20)

        assert sorted(response.status_code for response in responses) == [200] + [409] * 19
        assert ApiKey.objects.filter(subscription=subscription).count() == 1
    assert log.types() == ["subscription.approved", "apikey.created"] * 3


@pytest.mark.django_db(transaction=True)
def test_of_an_approval_and_a_rejection_at_once_one_succeeds() -> None:
    tenant = TenantFactory()
    for _round in range(8):
        subscription = SubscriptionFactory(tenant=tenant)

        at_once(
            outcome_of(partial(approve_subscription, subscription, {}, by=SYSTEM)),
            outcome_of(partial(reject_subscription, subscription, "", by=SYSTEM)),
        )

    assert len(log.types()) == 8


@pytest.mark.django_db(transaction=True)
def test_an_approval_and_a_revocation_at_once_leave_no_live_key(alice: Caller) -> None:
    tenant = TenantFactory(name="acme")
    for _round in range(10):
        subscription = SubscriptionFactory(tenant=tenant)
        path = path_of(subscription)

        approved, revoked = at_once(
            partial(alice.post, f"{path}/approve"),
            partial(alice.delete, path),
        )

        assert (approved.status_code, revoked.status_code) in ((200, 204), (409, 204))
        left = alice.get(path).json()
        assert (left["status"], left["api_key"]) == ("revoked", None)
        keys = alice.get(f"/v1/tenants/acme/apikeys?subscription_id={subscription.id}").json()["items"]
        assert {key["status"] for key in keys} <= {"revoked"}


@pytest.mark.django_db(transaction=True)
def test_an_approval_and_the_deletion_of_its_tenant_do_not_wait_for_each_other() -> None:
    for _round in range(8):
        subscription = SubscriptionFactory()

        at_once(
            outcome_of(partial(grant_access, subscription, {}, by=SYSTEM)),
            partial(delete_tenant, subscription.tenant, by=SYSTEM),
        )

        assert log.last_event().type == "tenant.deleted"
