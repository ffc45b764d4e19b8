"""The HTTP server of the development issuer: a request, a response, and the standard library's server.

Not Django, because the issuer must run without the product: the product's settings name the issuer.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

MAX_FORM_BYTES = 64 * 1024  # of a login form or a token request; the rest of a longer body is not read


@dataclass(frozen=True, slots=True)
class Request:
    """A request. ``fields`` are those of the query or of the form; ``authorization`` is "" without the header."""

    method: str
    path: str
    fields: Mapping[str, str]
    authorization: str = ""
    cookies: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """A response with its whole body."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] | None = None


def json_response(document: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return a JSON response that caches must not store: it may hold tokens (RFC 6749 §5.1)."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(json.dumps(document).encode(), status, headers)


def html_response(markup: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return an HTML page that caches must not store and other pages must not frame: it has a password form."""
    headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "X-Frame-Options": "DENY"}
    return Response(markup.encode(), status, headers)


def redirect(location: str, *, cookie: str = "") -> Response:
    """Return a redirect that the browser follows with GET, and a cookie ``name=value`` for as long as it is open."""
    headers = {"Location": location}
    if cookie:
        headers["Set-Cookie"] = f"{cookie}; Path=/; HttpOnly; SameSite=Lax"
    return Response(b"", HTTPStatus.FOUND, headers)


def http_server(host: str, port: int, respond: Callable[[Request], Response]) -> ThreadingHTTPServer:
    """Return a server that already listens and calls ``respond`` for each request. ``port`` 0 takes any free port."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds for each read; or a client that sends nothing would hold its thread for ever

        def do_GET(self) -> None:
            self._respond(urlsplit(self.path).query)

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self._respond(self.rfile.read(min(length, MAX_FORM_BYTES)).decode(errors="replace"))

        def _respond(self, encoded: str) -> None:
            fields = dict(parse_qsl(encoded, keep_blank_values=True))
            path = urlsplit(self.path).path
            cookies = {name: morsel.value for name, morsel in SimpleCookie(self.headers.get("Cookie", "")).items()}
            response = respond(Request(self.command, path, fields, self.headers.get("Authorization", ""), cookies))
            self.send_response(response.status)
            for name, value in (response.headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            """Log nothing: the output of `make run` is for the product's own lines."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True  # or a connection that is kept open would keep the process alive
    return server
