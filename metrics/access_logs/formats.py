"""Reads a gateway's access log: which lines are calls that count, and what they say as records of traffic.

Two forms are read, line by line: what the generated nginx configuration writes, and Caddy's own JSON.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

Record = dict[str, Any]

# What nginx says of a client that left before the answer; both programs then have a status of their own, or 0.
CLIENT_LEFT = 499
TEST_MODE = "test"


def read_records(lines: Iterable[bytes]) -> Iterator[Record]:
    """Yield the records of the calls that were let through to an API; other lines, and damaged ones, count nowhere."""
    for line in lines:
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
    # A refused call is not the API's, and a test key's is nobody's.
    if not entry["api_id"] or entry["reason"] or entry["mode"] == TEST_MODE:
        return None
    return {
        "timestamp": entry["timestamp"],
        "api_id": entry["api_id"],
        "subscription_id": entry["subscription_id"] or None,
        "status": int(entry["status"]) or CLIENT_LEFT,
        "latency_ms": _milliseconds(entry["latency_s"]),
        "bytes": int(entry["bytes"]),
    }


def _read_caddy(entry: Mapping[str, Any]) -> Record | None:
    api_id = _header(entry, "X-Stoa-Api")
    if not api_id:  # refused, or a test key's: the generated Caddyfile names the API of no other call
        return None
    return {
        "timestamp": datetime.fromtimestamp(entry["ts"], UTC).isoformat(timespec="milliseconds"),
        "api_id": api_id,
        "subscription_id": _header(entry, "X-Stoa-Subscription") or None,
        "status": int(entry["status"]) or CLIENT_LEFT,
        "latency_ms": _milliseconds(entry["duration"]),
        "bytes": int(entry["size"]),
    }


def _header(entry: Mapping[str, Any], name: str) -> str:
    values = entry["resp_headers"].get(name) or [""]
    return str(values[0])


def _milliseconds(seconds: Any) -> float:
    return round(float(seconds) * 1000, 1)
