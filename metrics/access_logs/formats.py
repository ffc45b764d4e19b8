"""Parses lines of an access log into traffic records.

Two formats are read, told apart line by line: the JSON of the generated nginx configuration, and Caddy's own JSON.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from apikeys.models import Mode

Record = dict[str, Any]

# nginx's status for a client that closed the connection before the response. Where a program logs 0 instead, this one
# is used, because a record needs a status.
CLIENT_CLOSED_REQUEST = 499


def read_records(lines: Iterable[bytes]) -> Iterator[Record]:
    """Yield a record for each call that was let through to an API. Skip other lines, and damaged ones."""
    for line in lines:
        # A log is written by other programs, in any state: no line may stop the rest. These are the errors that a
        # missing field, a wrong type, a number out of range or deeply nested JSON raise.
        try:
            entry = json.loads(line.decode(errors="replace"))
            record = _read_entry(entry) if isinstance(entry, dict) else None
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            continue
        if record:
            yield record


def _read_entry(entry: Mapping[str, Any]) -> Record | None:
    return _read_caddy(entry) if "resp_headers" in entry else _read_nginx(entry)


def _read_nginx(entry: Mapping[str, Any]) -> Record | None:
    # A refused call did not reach an API.
    if not entry["api_id"] or entry["reason"]:
        return None
    return {
        "timestamp": entry["timestamp"],
        "api_id": entry["api_id"],
        "subscription_id": entry["subscription_id"] or None,
        "status": int(entry["status"]) or CLIENT_CLOSED_REQUEST,
        "latency_ms": _milliseconds(entry["latency_s"]),
        "bytes": int(entry["bytes"]),
        **_mode(entry["mode"]),
    }


def _read_caddy(entry: Mapping[str, Any]) -> Record | None:
    api_id = _header(entry, "X-Stoa-Api")
    # The generated Caddyfile sets this header only for calls to count: not for refused ones.
    if not api_id:
        return None
    return {
        "timestamp": datetime.fromtimestamp(entry["ts"], UTC).isoformat(timespec="milliseconds"),
        "api_id": api_id,
        "subscription_id": _header(entry, "X-Stoa-Subscription") or None,
        "status": int(entry["status"]) or CLIENT_CLOSED_REQUEST,
        "latency_ms": _milliseconds(entry["duration"]),
        "bytes": int(entry["size"]),
        **_mode(_header(entry, "X-Stoa-Mode")),
    }


def _mode(mode: str) -> dict[str, str]:
    """Return the member for a test call. A live one has none: a control plane of an older release would refuse it."""
    return {"mode": mode} if mode == Mode.TEST else {}


def _header(entry: Mapping[str, Any], name: str) -> str:
    values = entry["resp_headers"].get(name) or [""]
    return str(values[0])


def _milliseconds(seconds: Any) -> float:
    return round(float(seconds) * 1000, 1)
