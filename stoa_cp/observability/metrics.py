"""Counts requests and measures their durations, for Prometheus.

The processes of one machine are added up if ``PROMETHEUS_MULTIPROC_DIR`` names an empty folder that they share: the
library then keeps its numbers in files there. Without it, each process reports its own.
"""

import os
from collections.abc import Callable, Iterable
from fcntl import LOCK_SH
from functools import lru_cache
from pathlib import Path
from time import perf_counter

from django.http import HttpRequest, HttpResponseBase
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, disable_created_metrics
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from stoa_cp.observability.ended_processes import locked
from stoa_cp.observability.logs import request_began_at

# Any other method is counted as "other": a caller may send any word, and each would be a series for ever.
METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})
# Upper bounds in seconds. Most reads take a few milliseconds, so the buckets begin there. The last is the statement
# time-out of 10 s: a request that takes longer has failed.
BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

# How long a scrape waits for a process that merges: that takes milliseconds, unless the process is frozen.
LOCK_SECONDS = 1.0

# Without this, each counter has a second series with the time of its creation, which no dashboard uses.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the package has not typed it yet
# Not the library's default registry, which adds series about the Python process.
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
    """Counts every request under its route, and notes for the log when it began.

    Paths hold ids, so counting by path would make series without end.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started_at = perf_counter()
        request_began_at.set(started_at)
        response = self.get_response(request)
        # Empty if a middleware answered before a route was looked up: a refusal of ApiMiddleware, or a static file.
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
    """Return the series to count in. Cached, because the library takes longer to find them than to count."""
    return REQUESTS.labels(method, route, status), DURATIONS.labels(method, route)


class SharedFolder(Collector):
    """Adds up the processes that have used PROMETHEUS_MULTIPROC_DIR."""

    def __init__(self, path: str) -> None:
        self._path = path

    def collect(self) -> Iterable[Metric]:
        # Beside a merge, the library would not find a file that it has just listed, or count one twice. It reads all
        # files before it returns.
        with locked(Path(self._path), LOCK_SH, seconds=LOCK_SECONDS):
            found: Iterable[Metric] = MultiProcessCollector(None, self._path).collect()  # type: ignore[no-untyped-call]  # the package has not typed it yet
            return found


def process_metrics() -> Collector:
    """Return the metrics of this process, or of all processes that share PROMETHEUS_MULTIPROC_DIR."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return SharedFolder(folder) if folder else OWN
