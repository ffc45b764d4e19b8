"""Listing and reading API keys: never their secrets."""

from collections.abc import Callable

import pytest
from django.db.models.functions import Now

from apikeys.models import ApiKey
from tenants.models import Tenant
from tests.answers import NOT_FOUND, refusal_of
from tests.conftest import Caller
from tests.factories import ApiKeyFactory, SubscriptionFactory

pytestmark = pytest.mark.django_db

KEYS = "/v1/tenants/acme/apikeys"


@pytest.mark.parametrize("name", ["alice", "dave", "victor", "olga"])
def test_every_role_reads(call_as: Callable[[str], Caller], acme: Tenant, name: str) -> None:
    key = ApiKeyFactory(subscription__tenant=acme)

    assert call_as(name).get(f"{KEYS}/{key.id}").json()["start"] == key.start
    assert call_as(name).get(KEYS).json()["total"] == 1


def test_a_stranger_finds_nothing(bob: Caller, acme: Tenant, globex: Tenant) -> None:
    key = ApiKeyFactory(subscription__tenant=acme)

    assert refusal_of(bob.get(f"{KEYS}/{key.id}")) == NOT_FOUND
    assert refusal_of(bob.get(f"/v1/tenants/globex/apikeys/{key.id}")) == NOT_FOUND
    assert bob.get("/v1/tenants/globex/apikeys").json()["items"] == []


def test_the_list_is_filtered_by_exact_values(victor: Caller, acme: Tenant) -> None:
    first = ApiKeyFactory(subscription=SubscriptionFactory(tenant=acme, active=True), name="web")
    second = ApiKeyFactory(subscription__tenant=acme, mode="test")
    ApiKey.objects.filter(pk=second.pk).update(expires_at=Now())

    def ids(query: str) -> list[str]:
        return [item["id"] for item in victor.get(f"{KEYS}?{query}").json()["items"]]

    assert ids("") == [second.id, first.id]
    assert ids("status=active") == [first.id]
    assert ids("status=expired") == ids("mode=test") == [second.id]
    assert ids(f"subscription_id={first.subscription_id}") == ids("q=WE") == [first.id]


def test_a_suspended_subscriptions_keys_wait(victor: Caller, acme: Tenant) -> None:
    key = ApiKeyFactory(subscription__tenant=acme)
    key.subscription.status = "suspended"
    key.subscription.save()

    assert victor.get(f"{KEYS}/{key.id}").json()["status"] == "active"
    assert victor.get(f"/v1/tenants/acme/subscriptions/{key.subscription_id}").json()["api_key"] == key.start


def test_what_changes_beside_the_row_is_news(dave: Caller, acme: Tenant) -> None:
    key = ApiKeyFactory(subscription__tenant=acme)
    paths = [f"{KEYS}/{key.id}", f"/v1/tenants/acme/subscriptions/{key.subscription_id}"]
    known = {path: dave.get(path)["ETag"] for path in paths}
    assert [dave.get(path, If_None_Match=known[path]).status_code for path in paths] == [304, 304]

    ApiKey.objects.filter(pk=key.pk).update(expires_at=Now())

    assert [dave.get(path, If_None_Match=known[path]).status_code for path in paths] == [200, 200]
    assert dave.delete(paths[0], If_Match=known[paths[0]]).status_code == 204


def test_a_stale_change_is_refused(dave: Caller, acme: Tenant) -> None:
    path = f"{KEYS}/{ApiKeyFactory(subscription__tenant=acme).id}"
    known = dave.get(path)["ETag"]
    dave.post(f"{path}/rotate", If_Match=known)

    assert refusal_of(dave.delete(path, If_Match=known)) == (412, "conflict", "", "precondition_failed")
