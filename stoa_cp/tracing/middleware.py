"""The span of a request."""

from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponseBase
from structlog.contextvars import bind_contextvars, get_contextvars

from stoa_cp.tracing.spans import Kind, current_traceparent, read_traceparent, span


class TracingMiddleware:
    """Answers requests inside a span, which is named by the route: paths hold ids, and calls of gateways secrets.

    A caller's ``traceparent`` is the parent, as W3C Trace Context has it. By default it also decides whether the trace
    is recorded; ``OTEL_TRACES_SAMPLER`` changes that.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        method = request.method or ""
        parent = read_traceparent(request.headers.get("traceparent", ""))
        with span(method, Kind.SERVER, parent=parent, attributes={"http.request.method": method}) as current:
            if traceparent := current_traceparent():
                # In each line of the log, so that one leads from a line to its trace.
                bind_contextvars(trace_id=traceparent.split("-")[1])
            response = self.get_response(request)
            route = request.resolver_match.route if request.resolver_match else ""
            current.rename(f"{method} {route}".strip())
            current.note(
                {
                    "http.route": route,
                    "http.response.status_code": response.status_code,
                    "stoa.request_id": get_contextvars().get("request_id", ""),
                }
            )
            if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                current.fail("")
            return response
