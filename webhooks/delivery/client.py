"""POST to a vetted address within one total deadline; no redirect is followed, little of the answer read."""

import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from time import monotonic
from typing import Self

from urllib3.exceptions import HTTPError, ReadTimeoutError, SSLError
from urllib3.response import BaseHTTPResponse

from stoa_cp.net.targets import TargetRefused, parse_target, vetted_addresses
from webhooks.delivery.connections import Connections, PooledConnection, TlsFailed
from webhooks.delivery.deadlines import Deadline, Watchdog
from webhooks.models import Failure

DEADLINE_SECONDS = 15.0
MAX_READ_BYTES = 16 * 1024
MAX_EXCERPT_BYTES = 4 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt. ``failure`` is empty for a success, ``status`` None where no answer came."""

    failure: str
    status: int | None = None
    duration_ms: int = 0
    excerpt: str = ""
    retry_after: str = ""


class Client:
    """Posts for many threads at once. Use it as a context manager: leaving closes what it opened."""

    def __init__(self, deadline_seconds: float) -> None:
        self._deadline_seconds = deadline_seconds
        self._watchdog = Watchdog()
        self._connections = Connections()

    def __enter__(self) -> Self:
        self._watchdog.__enter__()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._watchdog.__exit__()
        self._connections.close()

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send ``body`` and return what came of it. Whatever the receiver does, this raises nothing."""
        started_at = monotonic()
        with self._watchdog.guard(self._deadline_seconds) as guard:
            try:
                answer = self._exchange(url, headers, body, guard)
            except (TargetRefused, OSError, HTTPException, HTTPError) as error:
                answer = Answer(_failure_of(error))
        return Answer(
            failure=Failure.TIMEOUT if guard.is_expired else answer.failure,
            status=answer.status,
            duration_ms=round((monotonic() - started_at) * 1000),
            excerpt=answer.excerpt,
            retry_after=answer.retry_after,
        )

    def _exchange(self, url: str, headers: Mapping[str, str], body: bytes, guard: Deadline) -> Answer:
        target = parse_target(url)
        wire = self._connections.open(target, vetted_addresses(target), guard)
        is_reusable = False
        try:
            response = self._send(wire, {"Host": target.authority, **headers}, body, guard)
            answer = _read(response)
            is_reusable = response.closed and wire.connection.sock is not None
        finally:
            if guard.let_go() and is_reusable:
                self._connections.keep(wire)
            else:
                wire.close()
        return answer

    def _send(
        self, wire: PooledConnection, headers: Mapping[str, str], body: bytes, guard: Deadline
    ) -> BaseHTTPResponse:
        connection = wire.connection
        connection.timeout = guard.remaining_seconds
        with suppress(BrokenPipeError):  # some receivers answer and hang up before they have read everything
            connection.request("POST", wire.target.path, body, headers, preload_content=False, decode_content=False)
        return connection.getresponse()


def _read(response: BaseHTTPResponse) -> Answer:
    try:
        content = response.read(MAX_READ_BYTES, decode_content=False)
    except (TimeoutError, ReadTimeoutError):
        return Answer(Failure.TIMEOUT, response.status)
    except (OSError, HTTPException, HTTPError):
        content = b""  # the status was said; of the body we want no more than an excerpt
    return Answer(
        failure="" if response.status // 100 == 2 else Failure.HTTP_ERROR,  # noqa: PLR2004 - the class of 2xx
        status=response.status,
        excerpt=_excerpt(content),
        retry_after=response.headers.get("Retry-After", ""),
    )


def _failure_of(error: Exception) -> Failure:
    match error:
        case TargetRefused():
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
    """Return the start of an answer as text that PostgreSQL can hold: no NUL, no broken UTF-8."""
    return content[:MAX_EXCERPT_BYTES].decode("utf-8", errors="replace").replace("\x00", "")
