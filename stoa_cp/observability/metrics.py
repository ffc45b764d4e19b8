"""Counts requests and how long they took, for Prometheus.

Several processes of one machine add up if ``PROMETHEUS_MULTIPROC_DIR`` names an empty folder that they share: the
library then keeps its numbers in files there. Without it each process answers for itself.
"""

import os
from collections.abc import Callable
from functools import lru_cache
from time import perf_counter

from django.http import HttpRequest, HttpResponseBase
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.multiprocess import MultiProcessCollector

METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})
# Seconds. A read takes a few milliseconds; what takes more than its statement timeout of 10 s has failed.
BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

disable_created_metrics()  # type: ignore[no-untyped-call]  # the package has not typed it yet; a series that nobody asks for
OWN = CollectorRegistry()
REQUESTS = Counter(
    "stoa_http_requests", "Requests answered, by route and status.", ["method", "route", "status"], registry=OWN
)
DURATIONS = Histogram(
    "stoa_http_request_duration_seconds",
    "Time to answer a request, by route.",
    ["method", "route"],
    registry=OWN,
    buckets=BUCKETS,
)


class MonitoringMiddleware:
    """Counts every request under its route, of which there are few; never under its path, of which there is no end."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started_at = perf_counter()
        response = self.get_response(request)
        # Empty for what no route was looked for: refused by the gate, or a static file.
        route = request.resolver_match.route if request.resolver_match else ""
        count_request(request.method or "", route, response.status_code, perf_counter() - started_at)
        return response


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request under the route's pattern, and the time that it took."""
    requests, durations = _series_of(method if method in METHODS else "other", route, status)
    requests.inc()
    durations.observe(seconds)


@lru_cache
def _series_of(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Return the series to count in; the library takes longer to find them than to count."""
    return REQUESTS.labels(method, route, status), DURATIONS.labels(method, route)


def process_registry() -> CollectorRegistry:
    """Return the numbers of this process, or of all that share the folder."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return OWN
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the package has not typed it yet
    return registry
