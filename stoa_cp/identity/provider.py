"""HTTP requests to the identity provider: no redirects, no proxies, a bounded body, one deadline for the whole call.

``http.client`` follows no redirect and reads no proxy from the environment: the client secret that a token request
carries goes to the configured provider only.
"""

import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Timer
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

# Keycloak's largest documents have about 10 KiB. A longer body is cut off here, and then is no valid JSON.
MAX_BODY_BYTES = 256 * 1024


class ProviderFailure(Exception):
    """The identity provider gave no usable answer. The text is for the log; clients never see it."""


def deadline_in(seconds: float) -> float:
    """Return the time of the monotonic clock in ``seconds``: what ``until`` means in this module."""
    return time.monotonic() + seconds


def fetch_json(url: str, *, until: float, form: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the JSON object at ``url``: with GET, or with POST if there is a ``form``.

    ``until`` is a time of the monotonic clock (see ``deadline_in``). At that time the socket is closed, also while
    the provider sends byte after byte. Only DNS, which comes first, keeps the resolver's own time-out.
    Raises ProviderFailure for every answer except status 200 with a JSON object.
    """
    try:
        status, body = _exchange(urlsplit(url), until, form)
        if status != HTTPStatus.OK:
            raise ProviderFailure(f"{url} answered {status}")
        document = json.loads(body)
    except (OSError, HTTPException, ValueError, RecursionError) as cause:  # RecursionError: deeply nested JSON
        raise ProviderFailure(f"{url}: {cause!r}") from cause
    if not isinstance(document, dict):
        raise ProviderFailure(f"{url} answered no JSON object")
    return document


def discover(issuer: str, *, until: float) -> dict[str, Any]:
    """Return the issuer's metadata (OpenID Connect Discovery 1.0 §4).

    Raises ProviderFailure if there is none, or if ``issuer`` in it differs (§4.3): another issuer's keys must not
    verify this one's tokens.
    """
    metadata = fetch_json(f"{issuer.rstrip('/')}/.well-known/openid-configuration", until=until)
    if metadata.get("issuer") != issuer:
        raise ProviderFailure(f"{issuer} calls itself {metadata.get('issuer')!r}")
    return metadata


def endpoint(metadata: Mapping[str, Any], name: str) -> str:
    """Return one URL of an issuer's metadata. Raises ProviderFailure if it is missing, or plain HTTP below HTTPS."""
    url = metadata.get(name)
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise ProviderFailure(f"{metadata['issuer']} names no {name}")
    if url.startswith("http://") and metadata["issuer"].startswith("https://"):
        raise ProviderFailure(f"{metadata['issuer']} names a {name} without TLS")
    return url


def _exchange(url: SplitResult, until: float, form: Mapping[str, str] | None) -> tuple[int, bytes]:
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    headers = {"Accept": "application/json"}
    body = None
    if form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = urlencode(form)
    with _connect(url, until) as connection:
        connection.request("GET" if form is None else "POST", target, body=body, headers=headers)
        with connection.getresponse() as response:
            return response.status, response.read(MAX_BODY_BYTES)


@contextmanager
def _connect(url: SplitResult, until: float) -> Iterator[HTTPConnection]:
    host, port = url.hostname or "", url.port
    seconds = max(0.01, until - time.monotonic())  # 0 would make the socket non-blocking, and less is an error
    connection: HTTPConnection
    if url.scheme == "https":
        tls = ssl.create_default_context()
        connection = HTTPSConnection(host, port, context=tls)
    else:
        tls, connection = None, HTTPConnection(host, port)
    plain = socket.create_connection((host, connection.port), timeout=seconds)
    # A socket's time-out starts again with each byte: it never ends a provider that sends one byte at a time. So a
    # timer shuts the connection down at the deadline. It needs a descriptor of its own: wrap_socket() takes `plain`
    # over, and the deadline must end a TLS handshake as well.
    handle = plain.dup()
    watchdog = Timer(until - time.monotonic(), _shut_down, [handle])
    watchdog.daemon = True
    watchdog.start()
    try:
        connection.sock = tls.wrap_socket(plain, server_hostname=host) if tls else plain
        yield connection
    finally:
        watchdog.cancel()
        connection.close()
        plain.close()
        handle.close()


def _shut_down(handle: socket.socket) -> None:
    with suppress(OSError):  # the call ended at the same moment, and its connection is closed already
        handle.shutdown(socket.SHUT_RDWR)
