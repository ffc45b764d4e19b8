"""Spans: pieces of work that have a name, a duration and a parent, also across processes.

Explicit ones, a request, a task, an attempt, instead of the instrumentation packages for Django, Celery and psycopg.
Those replace functions of each library, are in beta, and their spans hold paths and statements. And the parent of an
attempt is in the event log, which no instrumentation reads.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from functools import cache
from multiprocessing.util import Finalize
from threading import Lock, Thread
from typing import TYPE_CHECKING, Protocol

from django.conf import settings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import Tracer

# W3C Trace Context, section 3.2.2, version 00: the only one there is. Lower case, and no id is all zeros.
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
TRACEPARENT_CHARACTERS = 55
# With a receiver that does not answer, OpenTelemetry would take 30.0 s: then the server kills the process before it has
# returned its tokens.
EXIT_SECONDS = 2.0
Attributes = Mapping[str, str | int]

_current: ContextVar[str] = ContextVar("current_traceparent", default="")
_first_use = Lock()


class Kind(Enum):
    """Which side of a call a span is; the names are OpenTelemetry's."""

    SERVER = "SERVER"
    CONSUMER = "CONSUMER"
    CLIENT = "CLIENT"


class Span(Protocol):
    """What work may tell of itself."""

    def rename(self, name: str) -> None:
        """Give the span another name, which was not known at its start."""

    def note(self, attributes: Attributes) -> None:
        """Add attributes. Never a secret, a path or a query of a caller: a span leaves the installation."""

    def fail(self, reason: str) -> None:
        """Mark the work as failed."""


class _NoSpan:
    """The span of a process that traces nothing."""

    def rename(self, name: str) -> None:
        pass

    def note(self, attributes: Attributes) -> None:
        pass

    def fail(self, reason: str) -> None:
        pass


class _RecordedSpan:
    def __init__(self, span: "OtelSpan") -> None:
        self._span = span

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def note(self, attributes: Attributes) -> None:
        self._span.set_attributes(dict(attributes))

    def fail(self, reason: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        self._span.set_status(Status(StatusCode.ERROR, reason))


NO_SPAN = _NoSpan()


def current_traceparent() -> str:
    """Return the ``traceparent`` of the work that this thread does; an empty text if there is none."""
    return _current.get()


def read_traceparent(text: str) -> str:
    """Return a ``traceparent`` that another process has sent; an empty text for anything that is none."""
    return text if len(text) == TRACEPARENT_CHARACTERS and TRACEPARENT.fullmatch(text) else ""


@contextmanager
def span(name: str, kind: Kind, *, parent: str = "", attributes: Attributes | None = None) -> Iterator[Span]:
    """Do work as a child of ``parent``, a ``traceparent``; without one, as the beginning of a trace.

    In a process that traces nothing, the parent stays the current one, so that what this work sends carries it on.
    """
    if not settings.TRACING_ENABLED:
        with _current_is(parent):
            yield NO_SPAN
        return
    from opentelemetry.trace import SpanKind, use_span

    started = _tracer().start_span(
        name, context=_context_of(parent), kind=SpanKind[kind.value], attributes=dict(attributes or {})
    )
    with use_span(started, end_on_exit=True), _current_is(_traceparent_of(started)):
        yield _RecordedSpan(started)


@contextmanager
def _current_is(traceparent: str) -> Iterator[None]:
    token = _current.set(traceparent)
    try:
        yield
    finally:
        _current.reset(token)


def _context_of(parent: str) -> "Context":
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent}, Context())


def _traceparent_of(span: "OtelSpan") -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _tracer() -> "Tracer":
    # The lock: two threads that begin at once would start two exporters.
    with _first_use:
        return _start_tracer()


@cache
def _start_tracer() -> "Tracer":
    """Start the exporter of this process at its first span: a process that was forked then has its own.

    OpenTelemetry reads its endpoint, headers, sampler, limits and time-outs from the environment itself. It sends from
    a thread of its own, and at the end of the process what is left.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({SERVICE_NAME: "stoa-control-plane"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    # Not by atexit, as OpenTelemetry does it: the processes of granian are forks of multiprocessing, which skip it.
    Finalize(None, _end, (provider.shutdown,), exitpriority=0)
    return provider.get_tracer("stoa_cp")


def _end(send_the_rest: Callable[[], None]) -> None:
    """Send the spans that are left, for EXIT_SECONDS at most. In a daemon, which does not hold up the process."""
    sender = Thread(target=send_the_rest, daemon=True)
    sender.start()
    sender.join(EXIT_SECONDS)
