"""Changing the terms of a live subscription."""

from collections.abc import Callable
from typing import Any

import pytest

from stoa_cp.crypto.encryption import decrypt
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, NOT_FOUND, WRONG_STATE, invalid, refusal_of, refused_fields
from tests.conftest import Caller
from tests.factories import ApiKeyFactory, SubscriptionFactory, TenantFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db

CALLBACK = "https://198.51.45.1/webhook"


@pytest.fixture
def subscription(acme: Tenant) -> Subscription:
    return SubscriptionFactory(tenant=acme, active=True)


def path_of(subscription: Subscription) -> str:
    return f"/v1/tenants/{subscription.tenant_id}/subscriptions/{subscription.id}"


def test_an_approver_changes_the_terms(alice: Caller, subscription: Subscription) -> None:
    terms = {"rate_limit": 5, "quota": None, "expires_at": "2126-01-09T00:00:00Z"}

    changed = alice.patch(path_of(subscription), terms).json()

    assert {name: changed[name] for name in terms} == terms


def test_the_log_tells_who_changed_what(alice: Caller, subscription: Subscription) -> None:
    alice.patch(path_of(subscription), {"rate_limit": 5, "quota": 50000, "expires_at": "2126-01-09T02:00:00.7+02:00"})

    event = log.last_event()
    assert (event.type, event.actor) == ("subscription.updated", log.subject("alice"))
    assert event.changes == {"rate_limit": [1000, 5], "expires_at": [None, "2126-01-09T00:00:00Z"]}


@pytest.mark.parametrize("body", [{}, {"rate_limit": 1000, "expires_at": None}])
def test_what_changes_nothing_writes_nothing(alice: Caller, subscription: Subscription, body: dict[str, Any]) -> None:
    before = alice.get(path_of(subscription)).json()

    assert alice.patch(path_of(subscription), body).json() == before
    assert not log.events().exists()


def test_a_builder_changes_the_callback_and_nothing_else(dave: Caller, subscription: Subscription) -> None:
    assert dave.patch(path_of(subscription), {"callback_url": CALLBACK}).json()["callback_url"] == CALLBACK
    for body in ({"rate_limit": 5}, {"quota": 5}, {"expires_at": "2126-01-09T00:00:00Z"}):
        assert refusal_of(dave.patch(path_of(subscription), body)) == MISSING_ROLE


def test_a_builder_may_send_the_whole_object_back(dave: Caller, acme: Tenant) -> None:
    key = ApiKeyFactory(subscription__tenant=acme, subscription__expires_at="2126-01-09T00:00:00Z")
    whole = dave.get(path_of(key.subscription)).json()
    assert whole["api_key"] == key.start

    response = dave.patch(path_of(key.subscription), whole | {"callback_url": CALLBACK})

    assert response.status_code == 200
    assert log.last_event().changes == {"callback_url": [None, CALLBACK]}


def test_the_first_callback_comes_with_its_secret(dave: Caller, subscription: Subscription) -> None:
    first = dave.patch(path_of(subscription), {"callback_url": CALLBACK}).json()
    second = dave.patch(path_of(subscription), {"callback_url": f"{CALLBACK}/v2"}).json()
    none = dave.patch(path_of(subscription), {"callback_url": None}).json()
    again = dave.patch(path_of(subscription), {"callback_url": CALLBACK}).json()

    subscription.refresh_from_db()
    assert decrypt(subscription.callback_secret or b"") == first["callback_secret"]
    for later in (second, none, again):
        assert "callback_secret" not in later
    assert first["callback_secret"] not in log.whole_log()


def test_a_callback_that_we_would_never_send_to_is_refused(dave: Caller, subscription: Subscription) -> None:
    response = dave.patch(path_of(subscription), {"callback_url": "https://10.0.0.1/"})

    assert refusal_of(response) == invalid("callback_url")


def test_read_only_fields_are_refused_when_they_differ(alice: Caller, subscription: Subscription) -> None:
    forged = {"status": "revoked", "plan": "premium", "application": "x", "created_by": "bob", "api_key": "stoa_live_x"}

    assert refused_fields(alice.patch(path_of(subscription), forged)) == dict.fromkeys(forged, "read_only")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("rate_limit", 0, "min_value"),
        ("rate_limit", 2_000_000_001, "max_value"),
        ("quota", "1", "invalid"),
        ("expires_at", "2020-01-01T00:00:00Z", "invalid"),
        ("expires_at", "0001-01-01T00:00:00+23:59", "overflow"),
        ("callback_secret", "whsec_x", "unknown_field"),
    ],
)
def test_a_wrong_field_is_named(alice: Caller, subscription: Subscription, field: str, value: Any, code: str) -> None:
    assert refusal_of(alice.patch(path_of(subscription), {field: value})) == invalid(field, code)


@pytest.mark.parametrize("status", ["rejected", "revoked", "expired"])
def test_one_that_is_over_does_not_change(alice: Caller, acme: Tenant, status: str) -> None:
    subscription = SubscriptionFactory(tenant=acme, active=True, status=status)

    assert refusal_of(alice.patch(path_of(subscription), {"rate_limit": 5})) == WRONG_STATE


def test_a_reader_changes_nothing(victor: Caller, subscription: Subscription) -> None:
    assert refusal_of(victor.patch(path_of(subscription), {"callback_url": None})) == MISSING_ROLE


def test_a_stranger_finds_nothing(bob: Caller, globex: Tenant, subscription: Subscription) -> None:
    assert refusal_of(bob.patch(path_of(subscription), {"rate_limit": 5})) == NOT_FOUND
    foreign = f"/v1/tenants/globex/subscriptions/{subscription.id}"
    assert refusal_of(bob.patch(foreign, {"rate_limit": 5})) == NOT_FOUND


def test_everybody_reads_within_the_tenant(
    call_as: Callable[[str], Caller], bob: Caller, globex: Tenant, subscription: Subscription
) -> None:
    for name in ("alice", "dave", "victor", "olga"):
        assert call_as(name).get(path_of(subscription)).json()["id"] == subscription.id
        assert call_as(name).get("/v1/tenants/acme/subscriptions?status=active").json()["total"] == 1
    assert refusal_of(bob.get(path_of(subscription))) == NOT_FOUND
    assert refusal_of(bob.get(f"/v1/tenants/globex/subscriptions/{subscription.id}")) == NOT_FOUND
    assert bob.get("/v1/tenants/globex/subscriptions").json()["items"] == []


def test_the_list_is_filtered_by_exact_values(victor: Caller, acme: Tenant, subscription: Subscription) -> None:
    other = SubscriptionFactory(tenant=acme, application="web")

    def ids(query: str) -> list[str]:
        return [item["id"] for item in victor.get(f"/v1/tenants/acme/subscriptions?{query}").json()["items"]]

    assert ids("") == [other.id, subscription.id]
    assert ids("status=pending_approval") == [other.id]
    assert ids(f"api_id={subscription.api_id}") == [subscription.id]
    assert ids(f"plan={subscription.plan.slug}") == [subscription.id]
    assert ids("application=web") == ids("q=WE") == [other.id]


@pytest.mark.django_db(transaction=True)
def test_changes_at_once_do_not_undo_each_other(alice: Caller) -> None:
    subscription = SubscriptionFactory(tenant=TenantFactory(name="acme"), active=True)
    bodies = [{"rate_limit": 1}, {"quota": 2}, {"expires_at": "2126-01-09T00:00:00Z"}] * 3

    at_once(*[lambda body=body: alice.patch(path_of(subscription), body) for body in bodies])

    subscription.refresh_from_db()
    assert (subscription.rate_limit, subscription.quota, subscription.version) == (1, 2, 4)
    assert subscription.expires_at is not None
