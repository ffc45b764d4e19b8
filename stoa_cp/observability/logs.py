"""What stands in the log: durations, no secrets of callers, and in production one JSON object a line, of any program.

Secrets of callers are the queries of calls that gateways ask about, and keys of ours anywhere.
"""

import json
import logging
import os
import re
import sys
import threading
from contextvars import ContextVar
from datetime import UTC, datetime
from io import StringIO
from time import perf_counter
from types import TracebackType
from typing import Any

import structlog
from django.core.management import call_command
from structlog.typing import EventDict, Processor, WrappedLogger

# As ``django_structlog`` writes a request. What follows the path is the original call's query, which Caddy and Envoy
# add unless they are told not to: an API behind a gateway may take passwords or keys of its own there.
GATEWAY_QUERY = re.compile(r"( /v1/gateway/[^?]*)\?.*", re.DOTALL)
# An API key or a gateway's token: 46 characters follow the prefix. A piece of one is masked too, a bare prefix is not.
KEY = re.compile(r"(stoa_(?:live|test|gtw)_)\w{8,}", re.ASCII)
# The two lines that ``django_structlog`` writes at the end of a request; the second one has the exception.
ENDS_OF_REQUESTS = frozenset({"request_finished", "request_failed"})
STDERR = 2

# When this thread began to answer the request that it is answering (``perf_counter``).
request_began_at: ContextVar[float] = ContextVar("request_began_at")

logger = structlog.get_logger(__name__)


def drop_gateway_query(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Cut the query off the logged request, if a gateway made it."""
    if isinstance(request := event.get("request"), str):
        event["request"] = GATEWAY_QUERY.sub(r"\1", request)
    return event


def add_duration(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add ``duration_ms`` to the line of a request."""
    # None if the request ended before MonitoringMiddleware: nothing does, but a line must not fail by it.
    began_at = request_began_at.get(None)
    if event.get("event") in ENDS_OF_REQUESTS and began_at is not None:
        event["duration_ms"] = round(1000 * (perf_counter() - began_at), 1)
    return event


def mask_keys(_logger: WrappedLogger, _method: str, line: str) -> str:
    """Replace each key in a finished line. Last of all, so that no field, message or stack trace is left out."""
    return KEY.sub(r"\1***", line)


SHARED_PROCESSORS: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    drop_gateway_query,
    add_duration,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


def json_formatter() -> logging.Formatter:
    """Return the formatter of production. Granian makes one in its main process too, which has no settings."""
    return formatter(structlog.processors.JSONRenderer())


def formatter(renderer: Processor) -> logging.Formatter:
    """Return a formatter for lines of structlog and of the standard library alike."""
    # structlog's type of a processor has no place for one that gets the finished line.
    processors: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer, mask_keys]
    return structlog.stdlib.ProcessorFormatter(processors=processors, foreign_pre_chain=SHARED_PROCESSORS)


def log_all_output() -> None:
    """Log what Python itself writes as plain text: warnings, and exceptions that end the process or a thread."""
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda ended: _log_uncaught(ended.exc_type, ended.exc_value, ended.exc_traceback)


class _LogStream(StringIO):
    """A stream for the output of a management command: each piece is a line of the log."""

    def write(self, text: str) -> int:
        if text.strip():
            logger.warning("settings_checked", result=text.strip())
        return len(text)


def check_settings(*tags: str) -> None:
    """Run the system checks of these tags at the start of a process, and log what is doubtful.

    Raises SystemCheckError for a dangerous configuration.
    """
    call_command("check", *(f"--tag={tag}" for tag in tags), stdout=StringIO(), stderr=_LogStream())


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    logger.critical("uncaught_exception", exc_info=(kind, error, trace))


def write_line(message: object, *_stream: object) -> None:
    """Write a message as a line of the log. For signal handlers.

    By one system call, because logging takes locks, which the interrupted code may hold.
    """
    line = {"event": str(message), "level": "info", "timestamp": datetime.now(UTC).isoformat()}
    os.write(STDERR, f"{json.dumps(line)}\n".encode())
