"""Examples for the OpenAPI document; the first is the specification's own."""

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
