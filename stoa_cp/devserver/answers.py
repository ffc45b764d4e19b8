"""The little HTTP that the development issuer speaks: a question, an answer, and a server of the standard library."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

MAX_FORM_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """A request: its path, the fields of its query or form, and the Authorization header ("" without one)."""

    method: str
    path: str
    fields: Mapping[str, str]
    authorization: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """A response, complete in memory."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] | None = None


def json_answer(document: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Response with a JSON document that nobody may keep."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(json.dumps(document).encode(), status, headers)


def page(markup: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Response with an HTML page that nobody may keep or frame."""
    headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "X-Frame-Options": "DENY"}
    return Response(markup.encode(), status, headers)


def redirect(location: str) -> Response:
    """Send the browser elsewhere, with a GET."""
    return Response(b"", HTTPStatus.FOUND, {"Location": location})


def http_server(host: str, port: int, answer: Callable[[Request], Response]) -> ThreadingHTTPServer:
    """Return a server, already listening (``port`` 0: any), that gives each question to ``answer``."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds for a client to say what it wants

        def do_GET(self) -> None:
            self._answer(urlsplit(self.path).query)

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self._answer(self.rfile.read(min(length, MAX_FORM_BYTES)).decode(errors="replace"))

        def _answer(self, encoded: str) -> None:
            fields = dict(parse_qsl(encoded, keep_blank_values=True))
            path = urlsplit(self.path).path
            given = answer(Request(self.command, path, fields, self.headers.get("Authorization", "")))
            self.send_response(given.status)
            for name, value in (given.headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(given.body)))
            self.end_headers()
            self.wfile.write(given.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            """Stay silent: a token request is no news."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    return server
