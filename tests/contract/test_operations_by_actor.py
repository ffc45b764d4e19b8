"""Every operation of the document, tried by every actor. An operation that is missing here fails the build."""

import json
from typing import Any

import pytest
from django.db import transaction

from stoa_cp.openapi.views import OPENAPI_PATH
from tests.conftest import Caller
from tests.contract.world import build_world

pytestmark = pytest.mark.django_db

TENANT = "/v1/tenants/{tenant_id}"
API = f"{TENANT}/apis/{{api_id}}"
PLAN = f"{TENANT}/plans/{{plan_id}}"
SUBSCRIPTION = f"{TENANT}/subscriptions/{{subscription_id}}"
KEY = f"{TENANT}/apikeys/{{key_id}}"
WEBHOOK = f"{TENANT}/webhooks/{{webhook_id}}"
GATEWAY = "/v1/gateways/{gateway_id}"
DELIVERY = f"{WEBHOOK}/deliveries/{{delivery_id}}"

READERS = {"victor", "dave", "alice", "olga"}
BUILDERS = {"dave", "alice", "olga"}
OWNERS = {"alice", "olga"}
PLATFORM = {"olga"}
EVERYBODY = {*READERS, "bob"}
CAST = ("victor", "dave", "alice", "bob", "olga")

NEW_TENANT = {"name": "initech", "tier": "free", "admin_email": "a@b.example", "region": "us-east-1"}
NEW_API = {"name": "orders", "path": "/orders", "upstream_url": "https://orders.example.com"}
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Orders", "version": "1"},
    "servers": [{"url": "https://orders.example.com"}],
}
NEW_SUBSCRIPTION = {"api_id": "{api_id}", "plan": "standard", "application": "new-application"}
NEW_KEY = {"subscription_id": "{active_subscription_id}", "name": "another"}
NEW_WEBHOOK = {"url": "https://1.1.1.1/hook", "events": ["*"]}

# (method, path): who may, with which body
TABLE: dict[tuple[str, str], tuple[set[str], Any]] = {
    ("get", "/v1/me"): (EVERYBODY, None),
    ("get", "/v1/tenants"): (EVERYBODY, None),
    ("post", "/v1/tenants"): (PLATFORM, NEW_TENANT),
    ("get", TENANT): (READERS, None),
    ("patch", TENANT): (OWNERS, {"admin_email": "new@acme.example"}),
    ("delete", TENANT): (PLATFORM, None),
    ("post", f"{TENANT}/suspend"): (PLATFORM, {}),
    ("post", f"{TENANT}/resume"): (PLATFORM, None),
    ("get", f"{TENANT}/events"): (READERS, None),
    ("get", f"{TENANT}/events/verify"): (READERS, None),
    ("get", f"{TENANT}/apis"): (READERS, None),
    ("post", f"{TENANT}/apis"): (BUILDERS, NEW_API),
    ("post", f"{TENANT}/apis/import"): (BUILDERS, DOCUMENT),
    ("get", API): (READERS, None),
    ("patch", API): (BUILDERS, {"description": "new"}),
    ("delete", API): (OWNERS, None),
    ("get", f"{TENANT}/plans"): (READERS, None),
    ("post", f"{TENANT}/plans"): (BUILDERS, {"slug": "gold", "name": "Gold"}),
    ("get", PLAN): (READERS, None),
    ("patch", PLAN): (BUILDERS, {"name": "New"}),
    ("delete", PLAN): (OWNERS, None),
    ("get", f"{TENANT}/subscriptions"): (READERS, None),
    ("post", f"{TENANT}/subscriptions"): (BUILDERS, NEW_SUBSCRIPTION),
    ("get", SUBSCRIPTION): (READERS, None),
    ("patch", SUBSCRIPTION): (OWNERS, {"quota": 7}),
    ("delete", SUBSCRIPTION): (OWNERS, {}),
    ("post", f"{SUBSCRIPTION}/approve"): (OWNERS, {}),
    ("post", f"{SUBSCRIPTION}/reject"): (OWNERS, {}),
    ("post", f"{SUBSCRIPTION}/suspend"): (OWNERS, {}),
    ("post", f"{SUBSCRIPTION}/resume"): (OWNERS, None),
    ("get", f"{TENANT}/apikeys"): (READERS, None),
    ("post", f"{TENANT}/apikeys"): (BUILDERS, NEW_KEY),
    ("get", KEY): (READERS, None),
    ("delete", KEY): (BUILDERS, None),
    ("post", f"{KEY}/rotate"): (BUILDERS, {}),
    ("post", f"{KEY}/rotate/finish"): (BUILDERS, None),
    ("get", f"{TENANT}/metrics"): (READERS, None),
    ("get", f"{API}/metrics"): (READERS, None),
    ("get", f"{SUBSCRIPTION}/metrics"): (READERS, None),
    ("get", f"{SUBSCRIPTION}/usage"): (READERS, None),
    ("get", f"{TENANT}/usage"): (READERS, None),
    ("get", "/v1/event-types"): (EVERYBODY, None),
    ("get", f"{TENANT}/webhooks"): (READERS, None),
    ("post", f"{TENANT}/webhooks"): (BUILDERS, NEW_WEBHOOK),
    ("get", WEBHOOK): (READERS, None),
    ("patch", WEBHOOK): (BUILDERS, {"description": "new"}),
    ("delete", WEBHOOK): (BUILDERS, None),
    ("post", f"{WEBHOOK}/test"): (BUILDERS, None),
    ("post", f"{WEBHOOK}/rotate-secret"): (BUILDERS, {}),
    ("post", f"{WEBHOOK}/replay"): (BUILDERS, {"since": "2026-01-01T00:00:00Z"}),
    ("get", f"{WEBHOOK}/deliveries"): (READERS, None),
    ("get", DELIVERY): (READERS, None),
    ("post", f"{DELIVERY}/redeliver"): (BUILDERS, None),
    ("post", f"{TENANT}/explain"): (READERS, {"key_id": "{key_id}", "path": "/acme/payments"}),
    ("post", "/v1/gateway/keys/verify"): (PLATFORM, {"key": "none"}),
    ("get", "/v1/gateway/authorize"): (PLATFORM, None),
    ("get", "/v1/gateway/authorize/nginx"): (PLATFORM, None),
    ("get", "/v1/gateway/authorize/ingress"): (PLATFORM, None),
    ("get", "/v1/gateway/authorize/envoy{path}"): (PLATFORM, None),
    ("get", "/v1/gateways"): (PLATFORM, None),
    ("post", "/v1/gateways"): (PLATFORM, {"name": "edge-2"}),
    ("get", GATEWAY): (PLATFORM, None),
    ("delete", GATEWAY): (PLATFORM, None),
    ("post", f"{GATEWAY}/rotate-token"): (PLATFORM, None),
    ("get", "/v1/gateway/config"): (PLATFORM, None),
    ("post", "/v1/gateway/traffic"): (PLATFORM, {"batch_id": "b-1", "records": []}),
}
OPERATIONS = sorted(TABLE)

# What a proxy says of the original call; it means nothing to the other operations.
ORIGINAL = {
    "X-Forwarded-Uri": "/acme/status",
    "X-Original-URI": "/acme/status",
    "X-Original-URL": "http://gateway/acme/status",
}

# Actions that start from another state than the pending subscription of the world.
PREPARED = {
    f"{SUBSCRIPTION}/suspend": "active_subscription_id",
    f"{SUBSCRIPTION}/resume": "suspended_subscription_id",
}


@pytest.fixture
def world(db: None) -> dict[str, str]:
    return build_world()


def attempt(caller: Caller, operation: tuple[str, str], world: dict[str, str]) -> int:
    """Try an operation and undo it; return the status."""
    method, path = operation
    if path in PREPARED:
        world = world | {"subscription_id": world[PREPARED[path]]}
    body = filled(TABLE[operation][1], world)
    with transaction.atomic():
        status: int = caller.send(method.upper(), path.format(**world), body, ORIGINAL).status_code
        transaction.set_rollback(True)
    return status


def filled(body: Any, world: dict[str, str]) -> Any:
    """Return a body of the table with the world's ids in it."""
    return {name: _fill(value, world) for name, value in body.items()} if isinstance(body, dict) else body


def _fill(value: Any, world: dict[str, str]) -> Any:
    return value.format(**world) if isinstance(value, str) and "{" in value else value


def test_the_table_has_every_operation_of_the_document() -> None:
    paths = json.loads(OPENAPI_PATH.read_text())["paths"]

    assert {(method, path) for path, operations in paths.items() for method in operations} == set(TABLE)


@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
def test_who_may(operation: tuple[str, str], world: dict[str, str], call_as: Any) -> None:
    allowed, _body = TABLE[operation]
    for name in CAST:
        status = attempt(call_as(name), operation, world)
        if name in allowed:
            assert status < 400 or status == 409, (name, status)  # 409: allowed, in another state
        elif name == "bob" and "{tenant_id}" in operation[1]:
            assert status == 404, (name, status)
        else:
            assert status == 403, (name, status)


@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
def test_nobody_may(operation: tuple[str, str], world: dict[str, str], anonymous: Caller) -> None:
    assert attempt(anonymous, operation, world) == 401


NESTED = [operation for operation in OPERATIONS if operation[1].count("{") > 1]


@pytest.mark.parametrize("operation", NESTED, ids=" ".join)
def test_anothers_id_under_ones_own_tenant_is_not_there(
    operation: tuple[str, str], world: dict[str, str], olga: Caller
) -> None:
    swapped = build_world("globex") | {"tenant_id": world["tenant_id"]}

    assert attempt(olga, operation, swapped) == 404


def test_the_cast_lists_only_its_own(world: dict[str, str], bob: Caller, alice: Caller) -> None:
    assert bob.get("/v1/tenants").json()["items"] == []
    assert [tenant["name"] for tenant in alice.get("/v1/tenants").json()["items"]] == ["acme"]
