"""Listing and reading tenants."""

import pytest

from tenants.models import Tenant
from tests.answers import NOT_FOUND, refusal_of
from tests.conftest import Caller
from tests.factories import TenantFactory

pytestmark = pytest.mark.django_db


def test_a_path_takes_the_id_or_the_name(victor: Caller, acme: Tenant) -> None:
    assert victor.get(f"/v1/tenants/{acme.id}").json() == victor.get("/v1/tenants/acme").json()


@pytest.mark.parametrize("unknown", ["ten-0123456789abcdef", "initech", "ten-short", "ACME", "acme%00", "x" * 300])
def test_an_unknown_tenant_is_not_found(olga: Caller, acme: Tenant, unknown: str) -> None:
    assert refusal_of(olga.get(f"/v1/tenants/{unknown}"))[:2] == (404, "not_found")


def test_a_stranger_finds_nothing(bob: Caller, acme: Tenant, globex: Tenant) -> None:
    unknown = bob.get("/v1/tenants/ten-0123456789abcdef").json()
    foreign = bob.get(f"/v1/tenants/{acme.id}")

    assert refusal_of(foreign) == NOT_FOUND
    assert foreign.json()["error"] | {"request_id": ""} == unknown["error"] | {"request_id": ""}
    assert refusal_of(bob.get("/v1/tenants/acme")) == NOT_FOUND


def test_everybody_lists_their_own_tenants(victor: Caller, olga: Caller, acme: Tenant, globex: Tenant) -> None:
    assert [tenant["name"] for tenant in victor.get("/v1/tenants").json()["items"]] == ["acme"]
    assert [tenant["name"] for tenant in olga.get("/v1/tenants").json()["items"]] == ["globex", "acme"]


def test_a_deleted_tenant_is_gone_from_the_list(olga: Caller, acme: Tenant, globex: Tenant) -> None:
    olga.delete("/v1/tenants/acme")

    assert [tenant["name"] for tenant in olga.get("/v1/tenants").json()["items"]] == ["globex"]


def test_the_list_is_filtered_by_exact_values(olga: Caller) -> None:
    TenantFactory(name="alpha", tier="free")
    TenantFactory(name="beta", tier="enterprise", status="suspended")

    def names(query: str) -> list[str]:
        return [tenant["name"] for tenant in olga.get(f"/v1/tenants?{query}").json()["items"]]

    assert names("tier=free") == ["alpha"]
    assert names("status=suspended&tier=enterprise") == ["beta"]
    assert names("status=suspended&tier=free") == []
    assert names("q=ET") == ["beta"]
    assert names("sort=name") == ["alpha", "beta"]
