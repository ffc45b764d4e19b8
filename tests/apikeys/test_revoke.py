"""Revoking an API key."""

from collections.abc import Callable

import pytest

from apikeys.models import ApiKey
from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, NOT_FOUND, refusal_of
from tests.conftest import Caller
from tests.factories import ApiKeyFactory, TenantFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(acme: Tenant) -> ApiKey:
    return ApiKeyFactory(subscription__tenant=acme)


def path_of(key: ApiKey) -> str:
    return f"/v1/tenants/{key.tenant_id}/apikeys/{key.id}"


def test_a_revoked_key_stays_readable(dave: Caller, key: ApiKey) -> None:
    response = dave.delete(path_of(key))

    assert (response.status_code, response.content) == (204, b"")
    assert dave.get(path_of(key)).json()["status"] == "revoked"
    assert dave.get("/v1/tenants/acme/apikeys?status=revoked").json()["total"] == 1


def test_revoking_again_finds_nothing(dave: Caller, key: ApiKey) -> None:
    dave.delete(path_of(key))

    assert refusal_of(dave.delete(path_of(key))) == NOT_FOUND


def test_the_revocation_is_in_the_log(dave: Caller, key: ApiKey) -> None:
    dave.delete(path_of(key))

    event = log.last_event()
    assert log.types() == ["apikey.revoked"]
    assert (event.actor, event.data["id"]) == (log.subject("dave"), key.id)
    assert event.data["revoked_at"] is not None
    assert event.request_id


def test_the_subscription_and_its_other_keys_go_on(dave: Caller, key: ApiKey) -> None:
    other = ApiKeyFactory(subscription=key.subscription)

    dave.delete(path_of(key))

    assert dave.get(path_of(other)).json()["status"] == "active"
    assert dave.get(f"/v1/tenants/acme/subscriptions/{key.subscription_id}").json()["status"] == "active"


@pytest.mark.parametrize("status", ["suspended", "revoked", "expired"])
def test_a_key_is_revoked_whatever_its_subscription_does(dave: Caller, key: ApiKey, status: str) -> None:
    key.subscription.status = status
    key.subscription.save()

    assert dave.delete(path_of(key)).status_code == 204


@pytest.mark.parametrize(("name", "status"), [("alice", 204), ("dave", 204), ("olga", 204), ("victor", 403)])
def test_builders_revoke_and_readers_do_not(
    call_as: Callable[[str], Caller], key: ApiKey, name: str, status: int
) -> None:
    response = call_as(name).delete(path_of(key))

    assert response.status_code == status
    if status == 403:
        assert refusal_of(response) == MISSING_ROLE


def test_a_stranger_finds_nothing(bob: Caller, globex: Tenant, key: ApiKey) -> None:
    assert refusal_of(bob.delete(path_of(key))) == NOT_FOUND
    assert refusal_of(bob.delete(f"/v1/tenants/globex/apikeys/{key.id}")) == NOT_FOUND


@pytest.mark.django_db(transaction=True)
def test_of_two_revocations_at_once_one_succeeds(dave: Caller) -> None:
    tenant = TenantFactory(name="acme")
    for _round in range(3):
        key = ApiKeyFactory(subscription__tenant=tenant)

        responses = at_once(*[lambda: dave.delete(path_of(key))] * 4)  # noqa: B023 - run before the next round

        assert sorted(response.status_code for response in responses) == [204, 404, 404, 404]
    assert log.types() == ["apikey.revoked"] * 3
