"""Issuing an API key."""

from collections.abc import Callable
from typing import Any

import pytest

from apikeys.models import ApiKey, KeySecret
from stoa_cp.crypto.credentials import digest, is_well_formed
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, NOT_FOUND, WRONG_STATE, invalid, refusal_of, refused_fields
from tests.conftest import Caller
from tests.factories import SubscriptionFactory

pytestmark = pytest.mark.django_db

KEYS = "/v1/tenants/acme/apikeys"


@pytest.fixture
def subscription(acme: Tenant) -> Subscription:
    return SubscriptionFactory(tenant=acme, active=True)


@pytest.fixture
def body(subscription: Subscription) -> dict[str, Any]:
    return {"subscription_id": subscription.id, "name": "Clé Production"}


def test_a_key_begins_active(dave: Caller, acme: Tenant, subscription: Subscription, body: dict[str, Any]) -> None:
    response = dave.post(KEYS, body | {"expires_at": "2126-01-09T00:00:00Z"})

    assert response.status_code == 201
    key = response.json()
    secret = key.pop("key")
    assert key == {
        "id": key["id"],
        "tenant_id": acme.id,
        "subscription_id": subscription.id,
        "name": "Clé Production",
        "mode": "live",
        "start": secret[:14] + "…",
        "status": "active",
        "expires_at": "2126-01-09T00:00:00Z",
        "allowed_ips": None,
        "allowed_methods": None,
        "allowed_paths": None,
        "previous_valid_until": None,
        "previous_last_used_at": None,
        "last_used_at": None,
        "leaked_at": None,
        "created_at": key["created_at"],
        "updated_at": key["updated_at"],
    }
    assert dave.get(response["Location"]).json() == key


def test_the_secret_is_shown_once_and_kept_as_a_digest(dave: Caller, body: dict[str, Any]) -> None:
    response = dave.post(KEYS, body)

    secret = response.json()["key"]
    assert is_well_formed(secret, "stoa_live_")
    assert response["Cache-Control"] == "no-store"
    assert bytes(KeySecret.objects.get().digest) == digest(secret)
    for path in (KEYS, response["Location"]):
        assert secret[15:] not in dave.get(path).content.decode()


def test_the_issue_is_in_the_log_without_the_secret(dave: Caller, body: dict[str, Any]) -> None:
    key = dave.post(KEYS, body).json()

    event = log.last_event()
    assert log.types() == ["apikey.created"]
    assert (event.actor, event.data["id"], event.data["name"]) == (log.subject("dave"), key["id"], "Clé Production")
    assert event.request_id
    assert key["key"][15:] not in log.whole_log()


def test_a_test_key_says_so_in_its_first_letters(dave: Caller, body: dict[str, Any]) -> None:
    key = dave.post(KEYS, body | {"mode": "test"}).json()

    assert key["mode"] == "test"
    assert is_well_formed(key["key"], "stoa_test_")


def test_a_subscription_may_have_many_keys_and_shows_the_newest(
    dave: Caller, subscription: Subscription, body: dict[str, Any]
) -> None:
    first, second = dave.post(KEYS, body).json(), dave.post(KEYS, body).json()

    def shown() -> str | None:
        start: str | None = dave.get(f"/v1/tenants/acme/subscriptions/{subscription.id}").json()["api_key"]
        return start

    assert shown() == second["start"]
    dave.delete(f"{KEYS}/{second['id']}")
    assert shown() == first["start"]
    dave.delete(f"{KEYS}/{first['id']}")
    assert shown() is None


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("subscription_id", "sub-0123456789abcdef", "invalid"),
        ("subscription_id", "mobile-app", "invalid"),
        ("subscription_id", None, "null"),
        ("subscription_id", 7, "invalid"),
        ("name", "", "blank"),
        ("name", None, "null"),
        ("name", "x" * 101, "max_length"),
        ("mode", "demo", "invalid_choice"),
        ("mode", None, "null"),
        ("expires_at", "2020-01-01T00:00:00Z", "invalid"),
        ("expires_at", "2126-01-09T00:00:00", "no_offset"),
        ("expires_at", 1767916800, "invalid"),
        ("key", "stoa_live_mine", "unknown_field"),
        ("start", "stoa_live_mine", "unknown_field"),
    ],
)
def test_a_wrong_field_is_named(dave: Caller, body: dict[str, Any], field: str, value: Any, code: str) -> None:
    assert refusal_of(dave.post(KEYS, body | {field: value})) == invalid(field, code)
    assert not ApiKey.objects.exists()


def test_all_missing_fields_are_named_at_once(dave: Caller, acme: Tenant) -> None:
    assert refused_fields(dave.post(KEYS, {})) == dict.fromkeys(["subscription_id", "name"], "required")


def test_no_expiry_may_be_said(dave: Caller, body: dict[str, Any]) -> None:
    assert dave.post(KEYS, body | {"expires_at": None}).json()["expires_at"] is None


@pytest.mark.parametrize("status", ["pending_approval", "suspended", "rejected", "revoked", "expired"])
def test_only_an_active_subscription_gets_keys(dave: Caller, acme: Tenant, status: str) -> None:
    subscription = SubscriptionFactory(tenant=acme, active=True, status=status)

    assert refusal_of(dave.post(KEYS, {"subscription_id": subscription.id, "name": "key"})) == WRONG_STATE


def test_anothers_subscription_does_not_exist_here(dave: Caller, globex: Tenant, body: dict[str, Any]) -> None:
    foreign = SubscriptionFactory(tenant=globex, active=True)

    unknown = dave.post(KEYS, body | {"subscription_id": "sub-0123456789abcdef"}).json()["error"]
    refused = dave.post(KEYS, body | {"subscription_id": foreign.id}).json()["error"]

    assert refused["details"] == unknown["details"]


@pytest.mark.parametrize(("name", "status"), [("alice", 201), ("dave", 201), ("olga", 201), ("victor", 403)])
def test_builders_issue_and_readers_do_not(
    call_as: Callable[[str], Caller], body: dict[str, Any], name: str, status: int
) -> None:
    response = call_as(name).post(KEYS, body)

    assert response.status_code == status
    if status == 403:
        assert refusal_of(response) == MISSING_ROLE


def test_a_stranger_finds_nothing(bob: Caller, globex: Tenant, body: dict[str, Any]) -> None:
    assert refusal_of(bob.post(KEYS, body)) == NOT_FOUND
    assert refusal_of(bob.post("/v1/tenants/globex/apikeys", body)) == invalid("subscription_id")
