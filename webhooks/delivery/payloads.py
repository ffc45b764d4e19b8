"""The body of a delivery: an event in JSON, serialised once.

Once, because the signature covers the bytes: serialised anew, the same event may become other bytes.
"""

import json
from collections.abc import Mapping
from typing import Any

from stoa_cp.db.changes import as_json
from stoa_cp.eventlog.models import Event
from webhooks.event_types import API_VERSION

# Standard Webhooks recommends less than 20 kB: the sender decides what load a receiver has to take.
MAX_BODY_BYTES = 20_000
# What a receiver needs to read the rest over the API, and to recognise a stale event.
IDENTIFYING_FIELDS = ("id", "subscription_id", "version")


def build_body(event: Event) -> str:
    """Return the JSON that every webhook receives for ``event``, at most 20 KB.

    Larger ``data`` is reduced to the fields that identify the resource, and marked ``"truncated": true``.
    """
    body = _serialise(event, event.data)
    if len(body.encode()) > MAX_BODY_BYTES:
        identity = {name: event.data[name] for name in IDENTIFYING_FIELDS if name in event.data}
        body = _serialise(event, identity | {"truncated": True})
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
