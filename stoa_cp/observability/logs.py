"""Keeps secrets of callers out of the log: the queries of calls that gateways ask about, and keys of ours anywhere."""

import re

from structlog.typing import EventDict, WrappedLogger

# As ``django_structlog`` writes a request. What follows the path is the original call's query, which Caddy and Envoy
# add unless they are told not to: an API behind a gateway may take passwords or keys of its own there.
GATEWAY_QUERY = re.compile(r"( /v1/gateway/[^?]*)\?.*", re.DOTALL)
# An API key or a gateway's token: 46 characters follow the prefix. A piece of one is masked too, a bare prefix is not.
KEY = re.compile(r"(stoa_(?:live|test|gtw)_)\w{8,}", re.ASCII)


def drop_gateway_query(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Cut the query off the logged request, if a gateway made it."""
    if isinstance(request := event.get("request"), str):
        event["request"] = GATEWAY_QUERY.sub(r"\1", request)
    return event


def mask_keys(_logger: WrappedLogger, _method: str, line: str) -> str:
    """Replace each key in a finished line. Last of all, so that no field, message or stack trace is left out."""
    return KEY.sub(r"\1***", line)
