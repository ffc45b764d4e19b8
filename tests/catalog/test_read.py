"""Listing and reading APIs."""

from typing import Any

import pytest

from tenants.models import Tenant
from tests.answers import NOT_FOUND, refusal_of
from tests.conftest import Caller
from tests.factories import ApiFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("name", ["alice", "dave", "victor", "olga"])
def test_every_role_reads(call_as: Any, acme: Tenant, name: str) -> None:
    api = ApiFactory(tenant=acme)

    assert call_as(name).get(f"/v1/tenants/acme/apis/{api.id}").json()["id"] == api.id
    assert call_as(name).get("/v1/tenants/acme/apis").json()["total"] == 1


def test_a_stranger_finds_nothing(bob: Caller, acme: Tenant, globex: Tenant) -> None:
    api = ApiFactory(tenant=acme)

    assert refusal_of(bob.get(f"/v1/tenants/acme/apis/{api.id}")) == NOT_FOUND
    assert refusal_of(bob.get(f"/v1/tenants/globex/apis/{api.id}")) == NOT_FOUND
    assert bob.get("/v1/tenants/globex/apis").json()["items"] == []


@pytest.mark.parametrize("api_id", ["api-0123456789abcdef", "api-x", "sub-0123456789abcdef", "api-0123456789ABCDEF"])
def test_an_unknown_api_is_not_found(victor: Caller, acme: Tenant, api_id: str) -> None:
    assert refusal_of(victor.get(f"/v1/tenants/acme/apis/{api_id}")) == NOT_FOUND


def test_the_list_is_filtered_by_exact_values(victor: Caller, acme: Tenant) -> None:
    ApiFactory(tenant=acme, name="payments", path="/payments", api_version="v2")
    ApiFactory(tenant=acme, name="orders", path="/orders", status="inactive")

    def names(query: str) -> list[str]:
        return [api["name"] for api in victor.get(f"/v1/tenants/acme/apis?{query}").json()["items"]]

    assert names("") == ["orders", "payments"]
    assert names("status=inactive") == ["orders"]
    assert names("version=v2") == ["payments"]
    assert names("path=/orders") == ["orders"]
    assert names("name=pay") == []
    assert names("q=PAY") == ["payments"]
    assert names("sort=-name") == ["payments", "orders"]
