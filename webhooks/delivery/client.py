"""Sends a POST to a vetted address within one total deadline; follows no redirect, reads little of the response."""

import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from time import monotonic
from typing import Self

from urllib3.exceptions import HTTPError, ReadTimeoutError, SSLError
from urllib3.response import BaseHTTPResponse

from stoa_cp.net.targets import parse_target, vetted_addresses
from stoa_cp.net.urls import UrlRefused
from webhooks.delivery.connections import ConnectionPool, PooledConnection, TlsFailed
from webhooks.delivery.deadlines import Deadline, Watchdog
from webhooks.models import Failure

# For one attempt in all, from the DNS query to the last byte read. Standard Webhooks recommends 15 to 30 s. The
# lower end, because a slow receiver occupies a thread meanwhile.
DEADLINE_SECONDS = 15.0
# More than the excerpt, so that an ordinary short body is read to its end and the connection can be reused. The
# bound is for hostile bodies: against 1 GB and a gzip bomb, a worker grew by 0.5 MB.
MAX_READ_BYTES = 16 * 1024
# Enough to see an error message in the list of attempts. Every attempt stores one.
MAX_EXCERPT_BYTES = 4 * 1024


@dataclass(frozen=True, slots=True)
class PostResult:
    """The result of one POST. ``failure`` is empty for a success, ``status`` None if no response came."""

    failure: str
    status: int | None = None
    duration_ms: int = 0
    excerpt: str = ""
    retry_after: str = ""


class WebhookClient:
    """Sends requests for many threads. A context manager: leaving it closes all connections."""

    def __init__(self, deadline_seconds: float) -> None:
        self._deadline_seconds = deadline_seconds
        self._watchdog = Watchdog()
        self._connections = ConnectionPool()

    def __enter__(self) -> Self:
        self._watchdog.__enter__()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._watchdog.__exit__()
        self._connections.close()

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> PostResult:
        """Send ``body`` and return the result. Nothing that a receiver does raises an exception here."""
        started_at = monotonic()
        with self._watchdog.limit(self._deadline_seconds) as deadline:
            try:
                result = self._exchange(url, headers, body, deadline)
            except (UrlRefused, OSError, HTTPException, HTTPError) as error:
                result = PostResult(_failure_of(error))
        return PostResult(
            # A socket that the watchdog has shut fails in many ways. The deadline is the cause of all of them.
            failure=Failure.TIMEOUT if deadline.is_expired else result.failure,
            status=result.status,
            duration_ms=round((monotonic() - started_at) * 1000),
            excerpt=result.excerpt,
            retry_after=result.retry_after,
        )

    def _exchange(self, url: str, headers: Mapping[str, str], body: bytes, deadline: Deadline) -> PostResult:
        # The address is vetted at every attempt and used as it is: the name is not resolved again (DNS rebinding).
        target = parse_target(url)
        connection = self._connections.acquire(target, vetted_addresses(target), deadline)
        is_reusable = False
        try:
            response = self._send(connection, {"Host": target.authority, **headers}, body, deadline)
            result = _read(response)
            is_reusable = response.closed and connection.http.sock is not None
        finally:
            if deadline.release() and is_reusable:
                self._connections.release(connection)
            else:
                connection.close()
        return result

    def _send(
        self, connection: PooledConnection, headers: Mapping[str, str], body: bytes, deadline: Deadline
    ) -> BaseHTTPResponse:
        http = connection.http
        http.timeout = deadline.remaining_seconds
        with suppress(BrokenPipeError):  # some receivers respond and close before they have read the whole body
            http.request("POST", connection.target.path, body, headers, preload_content=False, decode_content=False)
        return http.getresponse()


def _read(response: BaseHTTPResponse) -> PostResult:
    try:
        # Not decoded: 194 KB of gzip can become 200 MB.
        content = response.read(MAX_READ_BYTES, decode_content=False)
    except (TimeoutError, ReadTimeoutError):
        return PostResult(Failure.TIMEOUT, response.status)
    except (OSError, HTTPException, HTTPError):
        content = b""  # the status has arrived, and it decides; the body is only for the excerpt
    return PostResult(
        failure="" if response.status // 100 == 2 else Failure.HTTP_ERROR,  # noqa: PLR2004 - the class of 2xx
        status=response.status,
        excerpt=_excerpt(content),
        retry_after=response.headers.get("Retry-After", ""),
    )


def _failure_of(error: Exception) -> Failure:
    # The order matters: TLS errors and time-outs are OSErrors too.
    match error:
        case UrlRefused():
            return Failure.BLOCKED_ADDRESS
        case TlsFailed() | ssl.SSLError() | SSLError():
            return Failure.TLS_ERROR
        case TimeoutError() | ReadTimeoutError():
            return Failure.TIMEOUT
        case OSError():
            return Failure.CONNECT_FAILED
        case _:
            return Failure.HTTP_ERROR


def _excerpt(content: bytes) -> str:
    """Return the start of a response as text that PostgreSQL can store: no NUL, no invalid UTF-8."""
    return content[:MAX_EXCERPT_BYTES].decode("utf-8", errors="replace").replace("\x00", "")
