"""Access logs for tests, line by line, and a control plane that keeps what it is sent."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread
from time import sleep
from typing import Any

from django.utils import timezone

_numbers = count(1)


def nginx_line(**fields: Any) -> bytes:
    """Return a line as the generated nginx configuration writes it; no two are the same."""
    entry = {
        "timestamp": timezone.now().isoformat(timespec="seconds"),
        "status": "200",
        "latency_s": 0.087,
        "bytes": 512,
        "api_id": "api-0123456789abcdef",
        "subscription_id": "sub-0123456789abcdef",
        "reason": "",
        "mode": "live",
        "decision": "",
        "id": f"{next(_numbers):032x}",
        "method": "GET",
        "path": "/acme/payments",
    }
    return json.dumps(entry | fields).encode() + b"\n"


def caddy_line(**fields: Any) -> bytes:
    """Return a line as Caddy writes it."""
    entry = {
        "level": "info",
        "ts": timezone.now().timestamp(),
        "msg": "handled request",
        "request": {"method": "GET", "uri": "/acme/payments", "headers": {}},
        "duration": 0.0871234,
        "size": 512,
        "status": 200,
        "resp_headers": {"X-Stoa-Api": ["api-0123456789abcdef"], "X-Stoa-Subscription": ["sub-0123456789abcdef"]},
    }
    return json.dumps(entry | fields).encode() + b"\n"


class Ledger:
    """Counts records as the control plane does: a batch id once. ``bytes`` of a record names its line."""

    def __init__(self) -> None:
        self.batches: dict[str, list[dict[str, Any]]] = {}
        self.url = ""
        self.statuses: Iterator[int] = iter(())  # what the next requests are answered with, before any is counted
        self.pause_seconds = 0.0  # between counting and answering

    def take(self, body: bytes) -> tuple[int, dict[str, Any]]:
        status = next(self.statuses, HTTPStatus.OK)
        if status != HTTPStatus.OK:
            return status, {}
        batch = json.loads(gzip.decompress(body))
        is_duplicate = batch["batch_id"] in self.batches
        if is_duplicate:
            # What is sent again is what was sent before, or something would be lost.
            assert self.batches[batch["batch_id"]] == batch["records"]
        self.batches.setdefault(batch["batch_id"], batch["records"])
        sleep(self.pause_seconds)
        return status, {"accepted": len(batch["records"]), "duplicate": is_duplicate, "refused": []}

    @property
    def lines(self) -> Counter[int]:
        """How often each line was counted."""
        return Counter(record["bytes"] for records in self.batches.values() for record in records)


@contextmanager
def ledger() -> Iterator[Ledger]:
    """Serve a ledger on loopback."""
    kept = Ledger()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, answer = kept.take(self.rfile.read(int(self.headers["Content-Length"])))
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    Thread(target=server.serve_forever, daemon=True).start()
    kept.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
