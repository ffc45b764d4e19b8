"""Bounds what bodies cost a web process: few threads read them at a time, and none reads more than its path allows.

The server calls the application when the headers have arrived. A thread that reads the body then waits for the client,
and WSGI gives it no deadline: clients that announce a body and never send it would hold all threads.

A client may also send a body whose length it does not know: ``Transfer-Encoding: chunked`` in HTTP/1.1 (curl ``-T -``,
streams of Node, readers of Go), or no length at all in HTTP/2. Django takes such a request to have no body, and would
carry a write out as if its body were empty: an approval would be granted with the plan's limits instead of its own.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import cache
from io import BytesIO
from threading import BoundedSemaphore
from typing import Any, Final, Protocol
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.rest.limits import API_PREFIX, TRAFFIC_PATH, VERIFY_PATH, body_limit

# Set for ``check_length``, which answers 411. No client can set it: WSGI prefixes headers with ``HTTP_``.
LENGTH_REQUIRED: Final = "stoa.length_required"
# These have no body that any view reads. One that a client sends all the same is not waited for, so that a probe of
# /healthz needs no place.
METHODS_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# A body that came with its headers is read in microseconds. Who waits longer than this waits for a client that stalls.
PLACE_WAIT_SECONDS = 0.1


class BodyTooLarge(DomainError):
    """The body is larger than its path allows."""

    code = ErrorCode.VALIDATION_ERROR
    detail_code = "too_large"
    message = _("The request body is too large.")


class LengthRequired(DomainError):
    """The body has no announced length, and the server cannot tell where it ends."""

    code = ErrorCode.VALIDATION_ERROR
    detail_code = "length_required"
    message = _("Send the length of the body in Content-Length.")


class BodyIncomplete(DomainError):
    """The connection ended before the body did."""

    code = ErrorCode.VALIDATION_ERROR
    detail_code = "incomplete"
    message = _("The body did not arrive whole. A chunked body must not be empty.")


class TooManyBodies(DomainError):
    """As many threads as may read bodies wait for one already."""

    code = ErrorCode.INTERNAL_ERROR
    detail_code = "unavailable"
    message = _("Too many requests are being received. Try again in a moment.")
    retry_after_seconds = 1


class Readable(Protocol):
    """What the server hands over as ``wsgi.input``."""

    def read(self, size: int = -1, /) -> bytes: ...


@cache  # one for each path in a process: the fast path of decisions reads bodies, too
def places_of_gateways(path: str) -> BoundedSemaphore:
    """Return the places for bodies that gateways send to a path of theirs.

    All threads but one: with fewer places the threads of a busy gateway wait for each other.
    """
    return BoundedSemaphore(max(1, settings.STOA_WEB_THREADS - 1))


class RequestBody:
    """Stands in for ``wsgi.input``: reads the whole body at the first read, and holds its places until it is there.

    It takes one of each semaphore in ``places``. ``length`` is None if the client announced none. Reads raise
    TooManyBodies if no place is free in time, BodyTooLarge if a body without a length exceeds ``limit`` bytes, and
    BodyIncomplete if it ends too early: after fewer bytes than were announced, or, chunked, before the first one.

    A server ends ``wsgi.input`` also where the connection breaks. Carried out, such a request would be another one: an
    approval with terms would become one without. That a chunked body lacks its end cannot be seen here; JSON and gzip
    without their ends are refused by those who parse them.
    """

    def __init__(
        self,
        stream: Readable,
        places: Sequence[BoundedSemaphore],
        *,
        length: int | None,
        limit: int,
        is_chunked: bool,
    ) -> None:
        self._stream, self._places, self._length, self._limit = stream, places, length, limit
        self._least = length if length is not None else int(is_chunked)
        self._content: BytesIO | None = None

    @property
    def is_received(self) -> bool:
        """Whether nothing of the body is left at the server: read here, or before by the fast path of decisions."""
        return self._content is not None or isinstance(self._stream, BytesIO)

    def read(self, size: int = -1, /) -> bytes:
        return self._received().read(size)

    def readline(self, size: int = -1, /) -> bytes:
        return self._received().readline(size)

    def _received(self) -> BytesIO:
        if self._content is None:
            with ExitStack() as held:
                for places in self._places:
                    if not places.acquire(timeout=PLACE_WAIT_SECONDS):
                        raise TooManyBodies
                    held.callback(places.release)
                # Of a body without a length one byte more: it tells a body of exactly the limit from a larger one.
                content = self._stream.read(self._limit + 1 if self._length is None else self._length)
            if self._length is None and len(content) > self._limit:
                raise BodyTooLarge
            if len(content) < self._least:
                raise BodyIncomplete
            self._content = BytesIO(content)
        return self._content


class RequestBodyMiddleware:
    """WSGI middleware that puts a ``RequestBody`` in the place of ``wsgi.input``.

    The server must end ``wsgi.input`` where the body ends (``wsgi.input_terminated``, as granian and gunicorn do).
    Where it does not, reading a body without a length could wait for ever: that request is marked for a 411.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application
        # Whatever callers of the API do, half of the threads remain for requests without a body. Gateways have places
        # of their own, so that no such caller can hold up a verification of a key or a batch of traffic. These are not
        # in the half: a gateway that stalls can hold the rest, and is trusted not to.
        self._places = BoundedSemaphore(max(1, settings.STOA_WEB_THREADS // 2))
        # Outside /v1 no token is verified before the body is received: the console's login and reports of leaks bring
        # their proof in it. So anybody can hold these places, and they are only a part of the others.
        self._places_of_strangers = BoundedSemaphore(max(1, settings.STOA_WEB_THREADS // 4))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path, length = environ["PATH_INFO"], environ.get("CONTENT_LENGTH") or None
        limit = body_limit(path)
        if limit is None or environ["REQUEST_METHOD"] in METHODS_WITHOUT_BODY:
            return self.application(environ, start_response)
        if length is None and not environ.get("wsgi.input_terminated"):
            environ[LENGTH_REQUIRED] = "HTTP_TRANSFER_ENCODING" in environ
            return self.application(environ, start_response)
        if length is None:
            # Django reads no body without a length. ``receive_body`` corrects this one to what was received.
            environ["CONTENT_LENGTH"] = str(limit)
        body = RequestBody(
            environ["wsgi.input"],
            self._places_for(path),
            length=int(length) if length and length.isdecimal() else None,
            limit=limit,
            is_chunked="HTTP_TRANSFER_ENCODING" in environ,
        )
        environ["wsgi.input"] = body

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            # The rest of an unread body would be taken for the next request, so the server closes the connection.
            # The client must know, or its next request on the connection fails.
            return start_response(status, headers if body.is_received else [*headers, ("Connection", "close")], *rest)

        return self.application(environ, start)

    def _places_for(self, path: str) -> Sequence[BoundedSemaphore]:
        """Return the places that a body sent to ``path`` needs, one of each."""
        if path in (VERIFY_PATH, TRAFFIC_PATH):
            return (places_of_gateways(path),)
        return (self._places,) if path.startswith(API_PREFIX) else (self._places_of_strangers, self._places)


def check_length(request: HttpRequest) -> None:
    """Compare the announced length with the limit of the path, before a byte is read.

    Raises LengthRequired, or BodyTooLarge.
    """
    limit = body_limit(request.path_info)
    if limit is None:
        return
    if request.META.get(LENGTH_REQUIRED):
        raise LengthRequired
    announced = request.META.get("CONTENT_LENGTH") or "0"
    if not announced.isdecimal() or int(announced) > limit:
        raise BodyTooLarge


def receive_body(request: HttpRequest) -> None:
    """Read the body, and let ``CONTENT_LENGTH`` say how long it is.

    Raises TooManyBodies, BodyTooLarge or BodyIncomplete.
    """
    request.META["CONTENT_LENGTH"] = str(len(request.body))
