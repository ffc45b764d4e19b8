"""Speaks HTTP to the identity provider: no redirects, no proxies, bounded answers, one deadline for all."""

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

MAX_ANSWER_BYTES = 256 * 1024  # Keycloak's largest documents have about 10 KiB


class ProviderFailure(Exception):
    """The identity provider gave no usable answer. The text tells the log why; callers do not see it."""


def deadline_in(seconds: float) -> float:
    """Return the time of the monotonic clock in ``seconds``: what ``until`` means in this module."""
    return time.monotonic() + seconds


def fetch_json(url: str, *, until: float, form: Mapping[str, str] | None = None) -> dict[str, Any]:
    """GET a JSON object, or POST ``form`` for one.

    ``until`` is a time of the monotonic clock: then the socket is shut, whatever the provider drips into it.
    Only the resolution of its name, which comes first, keeps the system's own time-out.
    Raises ProviderFailure for any answer but 200 with a JSON object.
    """
    try:
        status, body = _exchange(urlsplit(url), until, form)
        if status != HTTPStatus.OK:
            raise ProviderFailure(f"{url} answered {status}")
        document = json.loads(body)
    except (OSError, HTTPException, ValueError, RecursionError) as cause:
        raise ProviderFailure(f"{url}: {cause!r}") from cause
    if not isinstance(document, dict):
        raise ProviderFailure(f"{url} answered no JSON object")
    return document


def discover(issuer: str, *, until: float) -> dict[str, Any]:
    """Return the issuer's metadata (OpenID Connect Discovery 1.0 §4).

    Raises ProviderFailure if there is none, or if it is another issuer's.
    """
    metadata = fetch_json(f"{issuer.rstrip('/')}/.well-known/openid-configuration", until=until)
    if metadata.get("issuer") != issuer:
        raise ProviderFailure(f"{issuer} calls itself {metadata.get('issuer')!r}")
    return metadata


def endpoint(metadata: Mapping[str, Any], name: str) -> str:
    """Return one URL of an issuer's metadata. Raises ProviderFailure if it is missing or gives TLS up."""
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
            return response.status, response.read(MAX_ANSWER_BYTES)


@contextmanager
def _connect(url: SplitResult, until: float) -> Iterator[HTTPConnection]:
    host, port = url.hostname or "", url.port
    seconds = max(0.01, until - time.monotonic())
    connection: HTTPConnection
    if url.scheme == "https":
        tls = ssl.create_default_context()
        connection = HTTPSConnection(host, port, context=tls)
    else:
        tls, connection = None, HTTPConnection(host, port)
    plain = socket.create_connection((host, connection.port), timeout=seconds)
    # A time-out counts from byte to byte, so a provider that drips never meets one. The second handle shuts
    # the connection at the deadline, whoever holds the first at that moment: a TLS handshake, too.
    handle = plain.dup()
    watchdog = Timer(until - time.monotonic(), _hang_up, [handle])
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


def _hang_up(handle: socket.socket) -> None:
    with suppress(OSError):  # the call ended in the same moment
        handle.shutdown(socket.SHUT_RDWR)
