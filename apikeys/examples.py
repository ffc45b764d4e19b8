"""Examples for the OpenAPI document, after the specification's own; all of one subscription and its key."""

WHERE = {
    "allowed_ips": ["198.51.100.0/24", "2001:db8::/32"],
    "allowed_methods": ["GET", "POST"],
    "allowed_paths": ["/refunds"],
}
KEY_CHANGES = {"name": "Production", "expires_at": "2027-01-09T00:00:00Z"} | WHERE
NEW_KEY = {"subscription_id": "sub-4m9q2tfd8s6j3yga"} | KEY_CHANGES
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
    **WHERE,
    "previous_valid_until": None,
    "previous_last_used_at": None,
    "last_used_at": "2025-01-09T11:02:00Z",
    "leaked_at": None,
    "created_at": "2025-01-09T10:45:00Z",
    "updated_at": "2025-01-09T10:45:00Z",
}
KEY_SELECTION = {"subscription_id": KEY["subscription_id"], "unused_since": "2025-01-01T00:00:00Z", "confirm": 1}
KEY_REVOCATIONS = {"results": [{"index": 0, "id": KEY["id"], "status": 204}]}
ISSUED_KEY = KEY | {"last_used_at": None, "key": "stoa_live_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd0WldG8"}

FROM = {"method": "GET", "address": "198.51.100.7"}
VERIFICATION = {"key": ISSUED_KEY["key"], "path": "/acme/payments/refunds/42"} | FROM | {"cost": 1}
VERIFIED = {
    "valid": True,
    "code": "valid",
    "key_id": KEY["id"],
    "subscription_id": KEY["subscription_id"],
    "api_id": "api-0c8h1vbn5r2k7wxz",
    "tenant_id": KEY["tenant_id"],
    "application": "mobile-app",
    "plan": "standard",
    "mode": "live",
    "rate_limit": {"limit": 1000, "remaining": 987, "reset": 1736420400},
    "quota": {"limit": 50000, "used": 30127, "remaining": 19873, "resets_at": "2025-02-01T00:00:00Z"},
    "expires_at": KEY["expires_at"],
    "rotating": False,
}
EXPLANATION = {"key_id": KEY["id"], "path": "/acme/payments/refunds/42"} | FROM
# The names and their order are those of apikeys.decisions.checks; a test compares all of it with a real answer.
PASSED = (
    "key_sent",
    "key_known",
    "key_unrevoked",
    "key_current",
    "key_unexpired",
    "tenant_open",
    "api_subscribed",
    "subscription_unrevoked",
    "subscription_unexpired",
    "subscription_open",
    "api_active",
    "upstream_allowed",
    "test_mode_available",
    "address_allowed",
    "method_allowed",
    "path_allowed",
    "quota_left",
)
EXPLAINED = {
    "decision": "deny",
    "reason": "rate_limited",
    "checks": [
        {"check": "route", "passed": True, "detail": "/payments"},
        *({"check": name, "passed": True, "detail": ""} for name in PASSED),
        {
            "check": "hour_left",
            "passed": False,
            "detail": "The calls of this hour are used up; wait as long as Retry-After says.",
        },
        {"check": "api_hour_left", "passed": True, "detail": ""},
    ],
}

CONFIGURATION = {
    "digest_algorithm": "hmac-sha256",
    "keys": [
        {
            "id": KEY["id"],
            "subscription_id": KEY["subscription_id"],
            "digest": "9f2c" * 16,
            "mode": "live",
            "expires_at": KEY["expires_at"],
            "valid_until": None,
            **WHERE,
        },
    ],
    "subscriptions": [
        {
            "id": KEY["subscription_id"],
            "tenant_id": KEY["tenant_id"],
            "api_id": "api-0c8h1vbn5r2k7wxz",
            "application": "mobile-app",
            "plan": "standard",
            "rate_limit": 1000,
            "quota": 50000,
            "expires_at": None,
        },
    ],
    "routes": [
        {
            "api_id": "api-0c8h1vbn5r2k7wxz",
            "tenant_id": KEY["tenant_id"],
            "tenant": "acme",
            "path": "/acme/payments",
            "upstream_url": "https://api.payments.example.com",
            "sandbox_url": "https://sandbox.payments.example.com",
            "auth_required": True,
            "rate_limit": {"requests_per_hour": 1000},
            "status": "active",
        },
    ],
}
