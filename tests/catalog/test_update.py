"""Updating an API."""

from typing import Any

import pytest

from catalog.models import Api
from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, NOT_FOUND, duplicate, invalid, refusal_of, refused_fields
from tests.conftest import Caller
from tests.factories import ApiFactory, TenantFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(acme: Tenant) -> Api:
    return ApiFactory(tenant=acme, name="payments", requests_per_hour=1000)


def path_of(api: Api) -> str:
    return f"/v1/tenants/{api.tenant_id}/apis/{api.id}"


def test_fields_are_changed_one_by_one(dave: Caller, api: Api) -> None:
    changed = dave.patch(path_of(api), {"description": "Takes money.", "path": "/pay/", "version": "v2"}).json()

    assert (changed["description"], changed["path"], changed["version"]) == ("Takes money.", "/pay", "v2")
    assert changed["public_url"].endswith("/acme/pay")
    assert changed["name"] == "payments"


def test_the_log_tells_who_changed_what(dave: Caller, api: Api) -> None:
    dave.patch(path_of(api), {"rate_limit": {"requests_per_hour": 2000}, "name": "payments", "status": "inactive"})

    event = log.last_event()
    assert (event.type, event.actor) == ("api.updated", log.subject("dave"))
    assert event.changes == {"requests_per_hour": [1000, 2000], "status": ["active", "inactive"]}
    assert event.data["rate_limit"] == {"requests_per_hour": 2000}


@pytest.mark.parametrize("limit", [None, {"requests_per_hour": None}])
def test_null_takes_the_ceiling_away(dave: Caller, api: Api, limit: Any) -> None:
    assert dave.patch(path_of(api), {"rate_limit": limit}).json()["rate_limit"] == {"requests_per_hour": None}


@pytest.mark.parametrize("body", [{}, {"rate_limit": {}}, {"name": "payments"}, {"path": "/payments/"}])
def test_what_changes_nothing_writes_nothing(dave: Caller, api: Api, body: dict[str, Any]) -> None:
    before = dave.get(path_of(api)).json()

    assert dave.patch(path_of(api), body).json() == before
    assert not log.events().exists()


def test_the_whole_object_can_be_sent_back(dave: Caller, api: Api) -> None:
    whole = dave.get(path_of(api)).json()

    assert dave.patch(path_of(api), whole | {"auth_required": False}).status_code == 200
    assert log.last_event().changes == {"auth_required": [True, False]}


def test_read_only_fields_are_refused_when_they_differ(dave: Caller, api: Api) -> None:
    forged = {
        "id": "api-0123456789abcdef",
        "tenant_id": "ten-0123456789abcdef",
        "public_url": "https://evil.example",
        "created_at": "2020-01-01T00:00:00Z",
    }

    assert refused_fields(dave.patch(path_of(api), forged)) == dict.fromkeys(forged, "read_only")


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"name": None}, "name", "null"),
        ({"path": None}, "path", "null"),
        ({"status": "gone"}, "status", "invalid_choice"),
        ({"status": None}, "status", "null"),
        ({"upstream_url": "http://localhost:8000"}, "upstream_url", "invalid"),
        ({"rate_limit": {"requests_per_hour": 0}}, "rate_limit.requests_per_hour", "min_value"),
        ({"colour": "red"}, "colour", "unknown_field"),
        ([{}], "", "invalid"),
    ],
)
def test_a_wrong_body_is_refused(dave: Caller, api: Api, body: Any, field: str, code: str) -> None:
    assert refusal_of(dave.patch(path_of(api), body)) == invalid(field, code)


def test_the_name_or_path_of_another_api_is_a_conflict(dave: Caller, acme: Tenant, api: Api) -> None:
    ApiFactory(tenant=acme, name="orders", path="/orders")

    assert refusal_of(dave.patch(path_of(api), {"name": "orders"})) == duplicate("name")
    assert refusal_of(dave.patch(path_of(api), {"path": "/orders"})) == duplicate("path")
    assert not log.events().exists()


@pytest.mark.parametrize(("name", "status"), [("alice", 200), ("dave", 200), ("olga", 200), ("victor", 403)])
def test_builders_update_and_readers_do_not(call_as: Any, api: Api, name: str, status: int) -> None:
    response = call_as(name).patch(path_of(api), {"description": "x"})

    assert response.status_code == status
    if status == 403:
        assert refusal_of(response) == MISSING_ROLE


def test_a_stranger_finds_nothing(bob: Caller, globex: Tenant, api: Api) -> None:
    assert refusal_of(bob.patch(path_of(api), {"description": "x"})) == NOT_FOUND
    assert refusal_of(bob.patch(f"/v1/tenants/globex/apis/{api.id}", {"description": "x"})) == NOT_FOUND


@pytest.mark.django_db(transaction=True)
def test_updates_at_once_do_not_undo_each_other(dave: Caller) -> None:
    api = ApiFactory(tenant=TenantFactory(name="acme"))
    bodies = [{"description": "x"}, {"version": "v2"}, {"auth_required": False}] * 3

    responses = at_once(*[lambda body=body: dave.patch(path_of(api), body) for body in bodies])

    assert {response.status_code for response in responses} == {200}
    api.refresh_from_db()
    assert (api.description, api.api_version, api.auth_required, api.version) == ("x", "v2", False, 4)
    assert log.types() == ["api.updated"] * 3


@pytest.mark.django_db(transaction=True)
def test_two_apis_may_try_to_swap_their_paths_at_once(dave: Caller) -> None:
    tenant = TenantFactory(name="acme")
    first, second = ApiFactory(tenant=tenant, path="/a"), ApiFactory(tenant=tenant, path="/b")

    responses = at_once(
        lambda: dave.patch(path_of(first), {"path": "/b"}), lambda: dave.patch(path_of(second), {"path": "/a"})
    )

    assert [refusal_of(response) for response in responses] == [duplicate("path")] * 2
