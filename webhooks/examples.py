"""Examples for the OpenAPI document."""

from drf_spectacular.utils import OpenApiExample

_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - Standard Webhooks' own example
_WEBHOOK = {
    "id": "whk-8v6t4r2q1p3n5m7k",
    "tenant_id": "ten-0c8h1vbn5r2k7wxz",
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
_DELIVERY = {
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
_NEW_DELIVERY = _DELIVERY | {"status": "pending", "next_attempt_at": "2025-01-09T10:31:00Z", "attempts": []}

NEW_WEBHOOK = OpenApiExample(
    "With a secret of one's own",
    value={"url": _WEBHOOK["url"], "events": _WEBHOOK["events"], "secret": _SECRET},
    request_only=True,
)
CREATED = OpenApiExample(
    "The secret is shown once", value=_WEBHOOK | {"secret": _SECRET}, response_only=True, status_codes=["201"]
)
WEBHOOK = OpenApiExample("Enabled", value=_WEBHOOK, response_only=True)
CHANGE = OpenApiExample("Enable it again", value={"status": "enabled"}, request_only=True)
ROTATION = OpenApiExample("An hour of overlap", value={"overlap_seconds": 3600}, request_only=True)
ROTATED = OpenApiExample(
    "The new secret is shown once",
    value=_WEBHOOK | {"previous_secret_valid_until": "2025-01-09T11:20:00Z", "secret": _SECRET},
    response_only=True,
)
SPAN = OpenApiExample(
    "A morning", value={"since": "2025-01-09T06:00:00Z", "until": "2025-01-09T12:00:00Z"}, request_only=True
)
REPLAYED = OpenApiExample("42 events", value={"deliveries": 42}, response_only=True, status_codes=["202"])
DELIVERY = OpenApiExample("At the second attempt", value=_DELIVERY, response_only=True)
ON_ITS_WAY = OpenApiExample("On its way", value=_NEW_DELIVERY, response_only=True, status_codes=["202"])
