"""Every operation of the document: who may call it, and with which body it succeeds on the world's rows."""

from typing import Any

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

# (method, path): who may, with which body.
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
    ("get", "/v1/events/heads"): (EVERYBODY, None),
    ("get", "/v1/events/keys"): (EVERYBODY, None),
    ("get", f"{TENANT}/apis"): (READERS, None),
    ("post", f"{TENANT}/apis"): (BUILDERS, NEW_API),
    ("post", f"{TENANT}/apis/import"): (BUILDERS, DOCUMENT),
    ("get", API): (READERS, None),
    ("patch", API): (BUILDERS, {"description": "new"}),
    ("delete", API): (OWNERS, None),
    ("get", f"{TENANT}/plans"): (READERS, None),
    ("post", f"{TENANT}/plans"): (OWNERS, {"slug": "gold", "name": "Gold"}),
    ("get", PLAN): (READERS, None),
    ("patch", PLAN): (OWNERS, {"name": "New"}),
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
    ("post", f"{TENANT}/apikeys/revoke"): (BUILDERS, {"ids": ["{key_id}"]}),
    ("get", KEY): (READERS, None),
    ("patch", KEY): (BUILDERS, {"allowed_methods": ["GET"]}),
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
    ("get", "/v1/gateway/authorize/caddy"): (PLATFORM, None),
    ("get", "/v1/gateway/authorize/nginx"): (PLATFORM, None),
    ("get", "/v1/gateway/authorize/ingress"): (PLATFORM, None),
    ("get", "/v1/gateway/authorize/envoy{path}"): (PLATFORM, None),
    ("get", "/v1/gateways"): (PLATFORM, None),
    ("post", "/v1/gateways"): (PLATFORM, {"name": "edge-2"}),
    ("get", GATEWAY): (PLATFORM, None),
    ("patch", GATEWAY): (PLATFORM, {"allowed_ips": ["198.51.100.0/24"], "tenants": ["acme"]}),
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


def filled(body: Any, world: dict[str, str]) -> Any:
    """Return a body of the table with the world's ids in it."""
    return {name: _fill(value, world) for name, value in body.items()} if isinstance(body, dict) else body


def _fill(value: Any, world: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_fill(item, world) for item in value]
    return value.format(**world) if isinstance(value, str) and "{" in value else value
