"""Takes the request id from a proxy in front, so that one id leads through the logs of both."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from structlog.contextvars import bind_contextvars

from stoa_cp.net.addresses import is_within

# nginx's $request_id, UUIDs and ULIDs. Nothing that a log, a header or a shell reads as more than a word; shorter ids
# would not be unique. 128 characters are the length of the event log's column.
ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,128}", re.ASCII)


class RequestIdMiddleware:
    """Replaces the id that django-structlog has bound by a trusted proxy's, if there is one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if (given := given_request_id(request.META)) is not None:
            bind_contextvars(request_id=given)
        return self.get_response(request)


def given_request_id(meta: Mapping[str, Any]) -> str | None:
    """Return ``X-Request-Id`` if the peer is one of STOA_TRUSTED_PROXIES and the id is ACCEPTED, else None.

    A client's own header counts for nothing: it could give its request the id of another one.
    """
    given = meta.get("HTTP_X_REQUEST_ID")
    if given is None or not ACCEPTED.fullmatch(given):
        return None
    peer = meta.get("REMOTE_ADDR") or ""  # a Unix socket has no address
    return given if peer and is_within(peer, settings.STOA_TRUSTED_PROXIES) else None
