"""Examples for the OpenAPI document, after the specification's own. An object has one id in all apps' examples."""

from drf_spectacular.utils import OpenApiExample

NEW_TENANT = {"name": "acme", "tier": "starter", "admin_email": "admin@acme.com", "region": "us-east-1"}
TENANT_CHANGES = {"tier": "business", "settings": {"rate_limit_multiplier": 2.0}}
TENANT = {
    "id": "ten-8fk2m9q0z3xv7hbt",
    "name": "acme",
    "tier": "starter",
    "status": "provisioning",
    "status_reason": "",
    "admin_email": "admin@acme.com",
    "region": "us-east-1",
    "settings": {"rate_limit_multiplier": 1.0, "rate_limit_per_hour": None},
    "gateway_url": "https://gateway.example.com/acme",
    "created_at": "2025-01-09T10:00:00Z",
    "updated_at": "2025-01-09T10:00:00Z",
}
IDENTITY = {
    "subject": "7937961f-2760-5069-8fc2-e889594225d6",
    "roles": ["tenant-admin"],
    "tenants": [{"id": "ten-8fk2m9q0z3xv7hbt", "name": "acme", "tier": "starter", "status": "active"}],
    "tier": "starter",
    "rate_limit": {"limit": 1000, "remaining": 987, "reset": 1736420400},
}
EVENT = {
    "id": "evt-7b3n6w1k9d5h2t8q",
    "cursor": "42",
    "type": "tenant.updated",
    "timestamp": "2025-01-09T10:05:00Z",
    "actor": "7937961f-2760-5069-8fc2-e889594225d6",
    "request_id": "5b0e7c1c-98f5-4c4c-8b6c-6c2e4a3f0d11",
    "data": {"id": "ten-8fk2m9q0z3xv7hbt", "tier": "business", "version": 2},
    "changes": {"tier": ["starter", "business"]},
}
HEAD = {
    "tenant_id": "ten-8fk2m9q0z3xv7hbt",
    "sequence": 42,
    "hash": "9f2c" * 16,
    "at": "2025-01-09T11:00:00Z",
    "key_id": "5be4a1f09c3d7e21",
    "signature": "mFgQx3Zb" * 10 + "mFgQxw==",
}
HEAD_LINE = OpenApiExample("Line", value=HEAD, response_only=True, media_type="application/x-ndjson")
HEAD_PAGE = OpenApiExample(
    "Page",
    value={"items": [HEAD], "limit": 1000, "next_cursor": None},
    response_only=True,
    media_type="application/json",
)
AUDIT_KEYS = {
    "items": [
        {
            "key_id": "5be4a1f09c3d7e21",
            "public_key": (
                "-----BEGIN PUBLIC KEY-----\n"
                "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                "-----END PUBLIC KEY-----\n"
            ),
        }
    ]
}
CHAIN = {
    "intact": True,
    "events": 57,
    "head": "51d0" * 16,
    "first_broken_cursor": None,
    "from": "42",
    "to": "57",
    "checkpoint": HEAD,
}
