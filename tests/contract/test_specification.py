"""Every JSON example of the specification, replayed field by field."""

import re
from typing import Any

import pytest

from tenants.tasks import set_up_tenant
from tests.conftest import Caller

pytestmark = pytest.mark.django_db

TENANT = {"name": "acme", "tier": "starter", "admin_email": "admin@acme.com", "region": "us-east-1"}
API = {
    "name": "payment-api",
    "description": "API de traitement des paiements",
    "upstream_url": "https://api.payments.example.com",
    "path": "/payments",
    "version": "v1",
    "auth_required": True,
    "rate_limit": {"requests_per_hour": 1000},
}


@pytest.fixture
def tenant(olga: Caller) -> dict[str, Any]:
    created = olga.post("/v1/tenants", TENANT)
    assert created.status_code == 201
    tenant: dict[str, Any] = created.json()
    set_up_tenant(tenant["id"])
    return tenant


@pytest.fixture
def api(olga: Caller, tenant: dict[str, Any]) -> dict[str, Any]:
    created = olga.post(f"/v1/tenants/{tenant['id']}/apis", API)
    assert created.status_code == 201
    api: dict[str, Any] = created.json()
    return api


@pytest.fixture
def subscription(olga: Caller, tenant: dict[str, Any], api: dict[str, Any]) -> dict[str, Any]:
    created = olga.post(
        f"/v1/tenants/{tenant['id']}/subscriptions",
        {
            "api_id": api["id"],
            "plan": "standard",
            "application": "mobile-app",
            "callback_url": "https://myapp.com/webhook",
        },
    )
    assert created.status_code == 201
    subscription: dict[str, Any] = created.json()
    return subscription


def assert_is_moment(text: str) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)


def test_create_a_tenant(tenant: dict[str, Any]) -> None:
    assert re.fullmatch(r"ten-[0-9a-z]{16}", tenant["id"])
    assert tenant["name"] == "acme"
    assert tenant["tier"] == "starter"
    assert tenant["status"] == "provisioning"
    assert tenant["gateway_url"].endswith("/acme")
    assert_is_moment(tenant["created_at"])


def test_list_tenants(olga: Caller, tenant: dict[str, Any]) -> None:
    page = olga.get("/v1/tenants?page=1&limit=20").json()

    assert [item["id"] for item in page["items"]] == [tenant["id"]]


def test_get_a_tenant(olga: Caller, tenant: dict[str, Any]) -> None:
    assert olga.get(f"/v1/tenants/{tenant['id']}").json()["name"] == "acme"


def test_update_a_tenant(olga: Caller, tenant: dict[str, Any]) -> None:
    changed = olga.patch(
        f"/v1/tenants/{tenant['id']}", {"tier": "business", "settings": {"rate_limit_multiplier": 2.0}}
    ).json()

    assert changed["tier"] == "business"
    assert changed["settings"]["rate_limit_multiplier"] == 2.0


def test_delete_a_tenant(olga: Caller, tenant: dict[str, Any]) -> None:
    assert olga.delete(f"/v1/tenants/{tenant['id']}").status_code == 204
    assert olga.get(f"/v1/tenants/{tenant['id']}").status_code == 404


def test_register_an_api(api: dict[str, Any]) -> None:
    assert re.fullmatch(r"api-[0-9a-z]{16}", api["id"])
    assert api["name"] == "payment-api"
    assert api["public_url"].endswith("/acme/payments")
    assert api["status"] == "active"
    assert_is_moment(api["created_at"])


def test_list_get_update_and_delete_an_api(olga: Caller, tenant: dict[str, Any], api: dict[str, Any]) -> None:
    apis = f"/v1/tenants/{tenant['id']}/apis"

    assert [item["id"] for item in olga.get(apis).json()["items"]] == [api["id"]]
    assert olga.get(f"{apis}/{api['id']}").json() == api
    changed = olga.patch(f"{apis}/{api['id']}", {"rate_limit": {"requests_per_hour": 2000}}).json()
    assert changed["rate_limit"] == {"requests_per_hour": 2000}
    assert olga.delete(f"{apis}/{api['id']}").status_code == 204


def test_create_a_subscription(subscription: dict[str, Any], api: dict[str, Any]) -> None:
    assert re.fullmatch(r"sub-[0-9a-z]{16}", subscription["id"])
    assert subscription["api_id"] == api["id"]
    assert subscription["status"] == "pending_approval"
    assert subscription["api_key"] is None
    assert_is_moment(subscription["created_at"])


def test_list_get_approve_and_revoke_a_subscription(
    olga: Caller, tenant: dict[str, Any], subscription: dict[str, Any]
) -> None:
    subscriptions = f"/v1/tenants/{tenant['id']}/subscriptions"
    one = f"{subscriptions}/{subscription['id']}"

    assert [item["id"] for item in olga.get(subscriptions).json()["items"]] == [subscription["id"]]
    assert olga.get(one).json()["status"] == "pending_approval"
    approved = olga.post(f"{one}/approve", {"rate_limit": 1000, "quota": 50000}).json()
    assert (approved["status"], approved["rate_limit"], approved["quota"]) == ("active", 1000, 50000)
    assert approved["api_key"].startswith("stoa_live_")
    assert olga.delete(one).status_code == 204


def test_list_create_rotate_and_revoke_a_key(
    olga: Caller, tenant: dict[str, Any], subscription: dict[str, Any]
) -> None:
    inside = f"/v1/tenants/{tenant['id']}"
    olga.post(f"{inside}/subscriptions/{subscription['id']}/approve", {"issue_key": False})
    body = {"subscription_id": subscription["id"], "name": "Clé Production", "expires_at": "2126-01-09T00:00:00Z"}

    created = olga.post(f"{inside}/apikeys", body)
    assert created.status_code == 201
    key = created.json()
    assert key["name"] == "Clé Production"
    assert key["expires_at"] == "2126-01-09T00:00:00Z"
    assert [item["id"] for item in olga.get(f"{inside}/apikeys").json()["items"]] == [key["id"]]
    rotated = olga.post(f"{inside}/apikeys/{key['id']}/rotate").json()
    assert rotated["id"] == key["id"]
    assert rotated["key"] != key["key"]
    assert olga.delete(f"{inside}/apikeys/{key['id']}").status_code == 204


def test_the_error_format_in_french(olga: Caller) -> None:
    response = olga.post("/v1/tenants", TENANT | {"tier": "gold"}, Accept_Language="fr")

    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "validation_error"
    assert error["message"] == "Paramètres de requête invalides"
    assert error["details"] == [{"field": "tier", "message": "Valeur de tier invalide", "code": "invalid_choice"}]


def test_the_rate_limit_headers(olga: Caller) -> None:
    response = olga.get("/v1/tenants")

    assert response["X-RateLimit-Limit"] == "100000"
    assert response["X-RateLimit-Remaining"] == "99999"
    assert response["X-RateLimit-Reset"].isdigit()
