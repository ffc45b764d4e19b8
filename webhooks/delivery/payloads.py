"""The body of a delivery: an event in JSON, serialised once and never again."""

import json
from collections.abc import Mapping
from typing import Any

from stoa_cp.db.changes import as_json
from stoa_cp.eventlog.models import Event
from webhooks.event_types import API_VERSION

MAX_BODY_BYTES = 20_000
IDENTIFYING = ("id", "subscription_id", "version")


def body_of(event: Event) -> str:
    """Return what every webhook is sent for ``event``, at most 20 KB.

    Data that would make it longer is reduced to what it takes to ask the API for the rest, and says so.
    """
    body = _serialise(event, event.data)
    if len(body.encode()) > MAX_BODY_BYTES:
        essence = {name: event.data[name] for name in IDENTIFYING if name in event.data}
        body = _serialise(event, essence | {"truncated": True})
    return body


def _serialise(event: Event, data: Mapping[str, Any]) -> str:
    content = {
        "id": event.id,
        "type": event.type,
        "timestamp": as_json(event.timestamp),
        "tenant_id": event.tenant_id,
        "api_version": API_VERSION,
        "data": data,
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
