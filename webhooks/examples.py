"""The examples of webhooks and deliveries in the OpenAPI document."""

from subscriptions.event_types import SubscriptionEvent
from webhooks.event_types import TYPES

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - Standard Webhooks' own example
WEBHOOK = {
    "id": "whk-8v6t4r2q1p3n5m7k",
    "tenant_id": "ten-8fk2m9q0z3xv7hbt",
    "url": "https://myapp.com/webhooks/stoa",
    "events": ["subscription.created", "subscription.approved"],
    "description": "",
    "status": "enabled",
    "disabled_reason": "",
    "secret_hint": "whsec_…LaSw",
    "secret_strength": "strong",
    "previous_secret_valid_until": None,
    "created_at": "2025-01-09T10:20:00Z",
    "updated_at": "2025-01-09T10:20:00Z",
}
DELIVERY = {
    "id": "dlv-3g5h7j9k1m2n4p6q",
    "event_id": "evt-4k2m9x7c1v5b8n3q",
    "event_type": "subscription.approved",
    "status": "delivered",
    "next_attempt_at": None,
    "created_at": "2025-01-09T10:31:00Z",
    "attempts": [
        {
            "number": 1,
            "attempted_at": "2025-01-09T10:31:00Z",
            "duration_ms": 87,
            "response_status": 503,
            "error": "http_error",
            "response_excerpt": "try again later",
        },
        {
            "number": 2,
            "attempted_at": "2025-01-09T10:31:05Z",
            "duration_ms": 42,
            "response_status": 200,
            "error": "",
            "response_excerpt": "ok",
        },
    ],
}
NEW_WEBHOOK = {"url": WEBHOOK["url"], "events": WEBHOOK["events"], "secret": SECRET}
SIGNED_WEBHOOK = WEBHOOK | {"secret": SECRET}
WEBHOOK_CHANGES = {"status": "enabled"}
ROTATION = {"overlap_seconds": 3600}
PERIOD = {"since": "2025-01-09T06:00:00Z", "until": "2025-01-09T12:00:00Z"}
REPLAYED = {"deliveries": 42}

_APPROVED = TYPES[SubscriptionEvent.APPROVED]
CATALOGUE = {
    "items": [
        {"type": _APPROVED.name, "description": "An application may call the API.", "example": _APPROVED.example()},
    ],
    "total": len(TYPES),
}
