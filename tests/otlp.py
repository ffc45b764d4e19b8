"""A receiver of traces: it takes OTLP over HTTP, as a collector does."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message


@dataclass(frozen=True, slots=True)
class Received:
    """A span as it arrived; ids are in hexadecimal digits."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, str | int]
    is_error: bool
    service: str


@dataclass(slots=True)
class Collector:
    """What was received, and where to send it. ``paths`` are those that were called."""

    port: int = 0
    paths: set[str] = field(default_factory=set)
    _spans: list[Received] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def spans(self, trace_id: str) -> list[Received]:
        with self._lock:
            return [span for span in self._spans if span.trace_id == trace_id]

    def receive(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            for resource in request.resource_spans:
                names = {each.key: each.value.string_value for each in resource.resource.attributes}
                for scope in resource.scope_spans:
                    self._spans += [_received(span, names["service.name"]) for span in scope.spans]


def _received(span: Message, service: str) -> Received:
    attributes: dict[str, str | int] = {
        each.key: each.value.int_value if each.value.HasField("int_value") else each.value.string_value
        for each in span.attributes
    }
    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
    kind = Message.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_")
    return Received(span.name, kind, *ids, attributes, span.status.code == span.status.STATUS_CODE_ERROR, service)


@contextmanager
def collector() -> Iterator[Collector]:
    """Receive for the length of the block."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            found.paths.add(f"{self.path} {self.headers['Content-Type']}")
            found.receive(self.rfile.read(int(self.headers["Content-Length"])))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.port = server.server_port
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
