"""Registering an API."""

from functools import partial
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from catalog.models import Api
from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, NOT_FOUND, duplicate, invalid, refusal_of, refused_fields
from tests.conftest import Caller
from tests.factories import TenantFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db

APIS = "/v1/tenants/acme/apis"
PAYMENTS = {"name": "payment-api", "upstream_url": "https://api.payments.example.com", "path": "/payments"}


def test_an_api_begins_active_with_defaults(dave: Caller, acme: Tenant) -> None:
    response = dave.post(APIS, PAYMENTS)

    assert response.status_code == 201
    api = response.json()
    assert api == {
        "id": api["id"],
        "tenant_id": acme.id,
        "name": "payment-api",
        "description": "",
        "upstream_url": "https://api.payments.example.com",
        "sandbox_url": None,
        "path": "/payments",
        "version": "v1",
        "auth_required": True,
        "rate_limit": {"requests_per_hour": None},
        "public_url": "https://gateway.example.com/acme/payments",
        "openapi_url": "",
        "status": "active",
        "deprecated_at": None,
        "sunset_at": None,
        "upstream_refused_at": None,
        "created_at": api["created_at"],
        "updated_at": api["updated_at"],
    }


def test_it_is_found_where_the_answer_says(dave: Caller, acme: Tenant) -> None:
    created = dave.post(APIS, PAYMENTS)

    assert created["Location"] == f"{APIS}/{created.json()['id']}"
    assert dave.get(created["Location"]).json() == created.json()


def test_everything_can_be_said_at_once(dave: Caller, acme: Tenant) -> None:
    body = PAYMENTS | {
        "description": "Takes money.",
        "version": "2025-01",
        "auth_required": False,
        "sandbox_url": "https://sandbox.payments.example.com/base",
        "rate_limit": {"requests_per_hour": 1000},
        "openapi_url": "https://docs.example.com/openapi.json?v=2",
    }

    api = dave.post(APIS, body).json()

    assert {name: api[name] for name in body} == body


def test_no_ceiling_is_said_in_two_ways(dave: Caller, acme: Tenant) -> None:
    first = dave.post(APIS, PAYMENTS | {"rate_limit": {"requests_per_hour": None}}).json()
    second = dave.post(APIS, PAYMENTS | {"name": "b", "path": "/b", "rate_limit": None}).json()

    assert first["rate_limit"] == second["rate_limit"] == {"requests_per_hour": None}


def test_the_registration_is_in_the_log(dave: Caller, acme: Tenant) -> None:
    api = dave.post(APIS, PAYMENTS).json()

    event = log.last_event()
    assert (event.type, event.tenant_id, event.actor) == ("api.created", acme.id, log.subject("dave"))
    assert event.request_id
    assert (event.data["id"], event.data["public_url"], event.data["version"]) == (api["id"], api["public_url"], 1)


@pytest.mark.parametrize(
    ("path", "stored"),
    [
        ("/payments/", "/payments"),
        ("/payments///", "/payments"),
        ("/", "/"),
        ("/a/b.c/~d_e-f", "/a/b.c/~d_e-f"),
        ("/v1/Payments", "/v1/Payments"),
        ("/...", "/..."),
    ],
)
def test_a_path_has_one_spelling(dave: Caller, acme: Tenant, path: str, stored: str) -> None:
    assert dave.post(APIS, PAYMENTS | {"path": path}).json()["path"] == stored


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("payments", "invalid"),
        ("//payments", "invalid"),
        ("/pay//ments", "invalid"),
        ("/../admin", "invalid"),
        ("/a/./b", "invalid"),
        ("/pay ments", "invalid"),
        ("/pay%2fments", "invalid"),
        ("/pay?x=1", "invalid"),
        ("/pay#x", "invalid"),
        ("/pay\\ments", "invalid"),
        ("/paiement-é", "invalid"),
        ("/pay\nments", "invalid"),
        ("/" + "x" * 200, "max_length"),
        ("", "blank"),
        (None, "null"),
        (7, "invalid"),
    ],
)
def test_other_paths_are_refused(dave: Caller, acme: Tenant, path: Any, code: str) -> None:
    assert refusal_of(dave.post(APIS, PAYMENTS | {"path": path})) == invalid("path", code)


@pytest.mark.parametrize("url", ["http://10.0.0.7:8080/base", "https://internal", "https://[2001:db8::1]:8443"])
def test_an_upstream_may_be_private(dave: Caller, acme: Tenant, url: str) -> None:
    assert dave.post(APIS, PAYMENTS | {"upstream_url": url}).json()["upstream_url"] == url


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1", "http://localhost", "http://[::1]:3000/base", "http://169.254.169.254"]
)
def test_where_only_public_upstreams_are_wanted_a_private_one_is_refused(
    dave: Caller, acme: Tenant, settings: Settings, url: str
) -> None:
    settings.STOA_PUBLIC_UPSTREAMS_ONLY = True

    assert refusal_of(dave.post(APIS, PAYMENTS | {"upstream_url": url})) == invalid("upstream_url")
    assert dave.post(APIS, PAYMENTS | {"upstream_url": "https://1.1.1.1"}).status_code == 201


def test_a_name_without_an_address_may_get_a_public_one(dave: Caller, acme: Tenant, settings: Settings) -> None:
    settings.STOA_PUBLIC_UPSTREAMS_ONLY = True

    assert dave.post(APIS, PAYMENTS | {"upstream_url": "https://nowhere.invalid"}).status_code == 201


@pytest.mark.parametrize(
    "url",
    [
        "ftp://files.example.com",
        "//api.example.com",
        "api.example.com",
        "https://",
        "https://user:password@api.example.com",
        "https://user@api.example.com",
        "https://api.example.com?key=1",
        "https://api.example.com#top",
        "https://api.example.com:99999",
        "https://api.example.com:port",
        "https://[::1",
        "https://api.example.com\\@evil.example",
        "https://api .example.com",
        "https://apí.example.com",
        "javascript:alert(1)",
        "http://127.0.0.1:8000",
        "http://localhost:8000/v1",
        "http://[::1]:8000",
    ],
)
def test_an_upstream_that_cannot_be_is_refused(dave: Caller, acme: Tenant, url: str) -> None:
    assert refusal_of(dave.post(APIS, PAYMENTS | {"upstream_url": url})) == invalid("upstream_url")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("name", "", "blank"),
        ("name", None, "null"),
        ("name", 7, "invalid"),
        ("name", "x" * 101, "max_length"),
        ("description", "x" * 2001, "max_length"),
        ("description", None, "null"),
        ("version", "", "blank"),
        ("version", 1, "invalid"),
        ("version", "x" * 33, "max_length"),
        ("auth_required", 1, "invalid"),
        ("auth_required", "true", "invalid"),
        ("auth_required", None, "null"),
        ("openapi_url", "javascript:alert(1)", "invalid"),
        ("openapi_url", "https://user:password@docs.example.com", "invalid"),
        ("openapi_url", "openapi.json", "invalid"),
        ("rate_limit", 1000, "invalid"),
        ("status", "inactive", "read_only"),
        ("sunset_at", "2126-01-01T00:00:00Z", "read_only"),
        ("tenant_id", "ten-0123456789abcdef", "read_only"),
        ("api_version", "v2", "unknown_field"),
    ],
)
def test_a_wrong_field_is_named(dave: Caller, acme: Tenant, field: str, value: Any, code: str) -> None:
    assert refusal_of(dave.post(APIS, PAYMENTS | {field: value})) == invalid(field, code)
    assert not Api.objects.exists()


@pytest.mark.parametrize(
    ("limit", "field", "code"),
    [
        ({"requests_per_hour": 0}, "rate_limit.requests_per_hour", "min_value"),
        ({"requests_per_hour": -1}, "rate_limit.requests_per_hour", "min_value"),
        ({"requests_per_hour": 2_000_000_001}, "rate_limit.requests_per_hour", "max_value"),
        ({"requests_per_hour": "1000"}, "rate_limit.requests_per_hour", "invalid"),
        ({"requests_per_hour": 1000.0}, "rate_limit.requests_per_hour", "invalid"),
        ({"requests_per_hour": True}, "rate_limit.requests_per_hour", "invalid"),
        ({"requests_per_minute": 1}, "rate_limit.requests_per_minute", "unknown_field"),
        ({}, "rate_limit.requests_per_hour", "required"),
    ],
)
def test_a_wrong_limit_is_named_by_its_path(
    dave: Caller, acme: Tenant, limit: dict[str, Any], field: str, code: str
) -> None:
    assert refusal_of(dave.post(APIS, PAYMENTS | {"rate_limit": limit})) == invalid(field, code)


def test_all_missing_fields_are_named_at_once(dave: Caller, acme: Tenant) -> None:
    assert refused_fields(dave.post(APIS, {})) == dict.fromkeys(PAYMENTS, "required")


def test_name_and_version_together_are_unique(dave: Caller, acme: Tenant) -> None:
    dave.post(APIS, PAYMENTS)

    assert refusal_of(dave.post(APIS, PAYMENTS | {"path": "/other"})) == duplicate("name")
    assert dave.post(APIS, PAYMENTS | {"path": "/other", "version": "v2"}).status_code == 201


def test_a_path_is_unique_but_not_what_lies_below_it(dave: Caller, acme: Tenant) -> None:
    dave.post(APIS, PAYMENTS)

    assert refusal_of(dave.post(APIS, PAYMENTS | {"name": "other", "path": "/payments/"})) == duplicate("path")
    for path in ("/pay", "/payments/refunds", "/Payments"):
        assert dave.post(APIS, PAYMENTS | {"name": path, "path": path}).status_code == 201


def test_another_tenant_may_have_the_same(dave: Caller, bob: Caller, acme: Tenant, globex: Tenant) -> None:
    assert dave.post(APIS, PAYMENTS).status_code == 201
    assert bob.post("/v1/tenants/globex/apis", PAYMENTS).status_code == 201


def test_a_deleted_apis_name_and_path_are_free(alice: Caller, acme: Tenant) -> None:
    first = alice.post(APIS, PAYMENTS).json()
    alice.delete(f"{APIS}/{first['id']}")

    second = alice.post(APIS, PAYMENTS)

    assert second.status_code == 201
    assert second.json()["id"] != first["id"]


@pytest.mark.parametrize(("name", "status"), [("alice", 201), ("dave", 201), ("olga", 201), ("victor", 403)])
def test_builders_register_and_readers_do_not(call_as: Any, acme: Tenant, name: str, status: int) -> None:
    response = call_as(name).post(APIS, PAYMENTS)

    assert response.status_code == status
    if status == 403:
        assert refusal_of(response) == MISSING_ROLE


def test_a_stranger_finds_nothing(bob: Caller, acme: Tenant, globex: Tenant) -> None:
    assert refusal_of(bob.post(f"/v1/tenants/{acme.id}/apis", PAYMENTS)) == NOT_FOUND
    assert not Api.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_twenty_identical_registrations_at_once_one_succeeds(dave: Caller) -> None:
    TenantFactory(name="acme")
    for number in range(3):
        body = PAYMENTS | {"name": f"api-{number}", "path": f"/api-{number}"}

        responses = at_once(*[partial(dave.post, APIS, body)] * 20)

        assert sorted(response.status_code for response in responses) == [201] + [409] * 19
    assert log.types() == ["api.created"] * 3
