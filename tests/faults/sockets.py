"""Requests as bytes on a socket, so that they can be sent badly: slowly, in halves, for ever, or against the rules."""

import json
import socket
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from time import monotonic

from tests.faults.load import CALL_SECONDS, Call


def request_bytes(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Return a request as it should be; ``headers`` may announce another length than the body's."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    named = {"Content-Length": str(len(body))} | dict(headers)
    lines += [f"{name}: {value}" for name, value in named.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def bearer_bytes(token: str, method: str, path: str, document: object) -> bytes:
    """Return an ordinary request with JSON, for a path under ``/v1``."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return request_bytes(method, f"/v1{path}", headers, json.dumps(document).encode())


class RawRequest:
    """One request over a connection of its own."""

    def __init__(self, port: int, content: bytes) -> None:
        self._content = content
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=CALL_SECONDS)
        self._began_at = monotonic()

    def send(self, size: int | None = None) -> None:
        """Send the next ``size`` bytes, all that is left by default. Raises OSError where the server hangs up."""
        chunk = self._content[:size]
        self._content = self._content[len(chunk) :]
        self._socket.sendall(chunk)

    def add(self, chunk: bytes) -> None:
        """Send more than the request was to be. Raises OSError where the server hangs up."""
        self._socket.sendall(chunk)

    def answer(self, method: str = "POST") -> Call:
        """Wait for the whole answer, and end the connection."""
        with self._socket, HTTPResponse(self._socket, method=method) as response:
            try:
                response.begin()
                status, content = response.status, response.read()
            except (OSError, HTTPException) as error:
                status, content = 0, repr(error).encode()
        return Call(status, content, self._began_at, monotonic())

    def close(self) -> None:
        self._socket.close()
