"""Examples for the OpenAPI document, after the specification's own. An object has one id in all apps' examples."""

NEW_API = {
    "name": "payment-api",
    "description": "Payment processing",
    "upstream_url": "https://api.payments.example.com",
    "sandbox_url": "https://sandbox.payments.example.com",
    "path": "/payments",
    "version": "v1",
    "auth_required": True,
    "rate_limit": {"requests_per_hour": 1000},
}
API_CHANGES = {"rate_limit": {"requests_per_hour": 2000}}
API = NEW_API | {
    "id": "api-0c8h1vbn5r2k7wxz",
    "tenant_id": "ten-8fk2m9q0z3xv7hbt",
    "public_url": "https://gateway.example.com/acme/payments",
    "openapi_url": "",
    "status": "active",
    "deprecated_at": None,
    "sunset_at": None,
    "upstream_refused_at": None,
    "created_at": "2025-01-09T10:15:00Z",
    "updated_at": "2025-01-09T10:15:00Z",
}

NEW_GATEWAY = {"name": "edge-1", "allowed_ips": ["198.51.100.0/24", "2001:db8::/32"], "tenants": ["acme"]}
GATEWAY_CHANGES = {"allowed_ips": ["198.51.100.0/24", "2001:db8::/32"], "tenants": ["acme"]}
GATEWAY = {
    "id": "gtw-2x6b0n4m8v1c5z9k",
    "name": "edge-1",
    "allowed_ips": ["198.51.100.0/24", "2001:db8::/32"],
    "tenants": ["ten-8fk2m9q0z3xv7hbt"],
    "last_seen_at": "2025-01-09T11:02:00Z",
    "created_at": "2025-01-09T09:00:00Z",
    "updated_at": "2025-01-09T09:00:00Z",
}
ISSUED_GATEWAY = GATEWAY | {"last_seen_at": None, "token": "stoa_gtw_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd1sI9BU"}
