"""The ``webhooks`` section of the OpenAPI document: the request that a receiver gets, for each published event."""

from collections.abc import Mapping
from typing import Any

from webhooks.event_types import API_VERSION, TYPES, EventType

HEADERS: Mapping[str, str] = {
    "webhook-id": "The event's id: the same on every attempt and every replay.",
    "webhook-timestamp": "When this attempt was made, in seconds since 1970. Refuse what is older than 5 minutes.",
    "webhook-signature": "`v1,` and the signature (Standard Webhooks); two, separated by a space, during a rotation.",
}
BODY_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["id", "type", "timestamp", "tenant_id", "api_version", "data"],
    "properties": {
        "id": {"type": "string"},
        "type": {"type": "string", "enum": list(TYPES)},
        "timestamp": {"type": "string", "format": "date-time"},
        "tenant_id": {"type": "string"},
        "api_version": {"type": "string", "enum": [API_VERSION]},
        "data": {
            "type": "object",
            "additionalProperties": True,
            "description": "The resource after the change. A higher `version` is newer: deliveries keep no order.",
        },
    },
}


def describe_webhooks(result: dict[str, Any], **_context: Any) -> dict[str, Any]:
    """Add the ``webhooks`` section (a drf-spectacular postprocessing hook)."""
    result["components"]["schemas"]["EventBody"] = dict(BODY_SCHEMA)
    result["webhooks"] = {name: {"post": _operation(event_type)} for name, event_type in TYPES.items()}
    return result


def _operation(event_type: EventType) -> dict[str, Any]:
    media = {"schema": {"$ref": "#/components/schemas/EventBody"}, "example": event_type.example()}
    return {
        "operationId": f"on_{event_type.name.replace('.', '_')}",
        "summary": str(event_type.description),
        "tags": ["Webhooks"],
        "security": [],
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}, "description": description}
            for name, description in HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {"application/json": media}},
        "responses": {
            "2XX": {"description": "Received. It must come within 15 seconds."},
            "410": {"description": "The receiver is gone for good: the webhook is disabled."},
            "default": {"description": "Not received: it is sent again, ten times over 75 hours in all."},
        },
    }
