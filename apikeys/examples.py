"""Examples for the OpenAPI document, after the specification's own."""

NEW_KEY = {"subscription_id": "sub-4m9q2tfd8s6j3yga", "name": "Production", "expires_at": "2027-01-09T00:00:00Z"}
ROTATION = {"overlap_seconds": 86400}
KEY = {
    "id": "key-9w3e7n1p5z8c2v6b",
    "tenant_id": "ten-8fk2m9q0z3xv7hbt",
    "subscription_id": "sub-4m9q2tfd8s6j3yga",
    "name": "Production",
    "mode": "live",
    "start": "stoa_live_0123…",
    "status": "active",
    "expires_at": "2027-01-09T00:00:00Z",
    "previous_valid_until": None,
    "previous_last_used_at": None,
    "last_used_at": "2025-01-09T11:02:00Z",
    "created_at": "2025-01-09T10:45:00Z",
    "updated_at": "2025-01-09T10:45:00Z",
}
ISSUED_KEY = KEY | {"last_used_at": None, "key": "stoa_live_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd0WldG8"}
