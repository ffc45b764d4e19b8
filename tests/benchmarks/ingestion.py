"""Traffic over HTTP, durable and exactly once, against a DRF serializer and ``bulk_create``.

Each batch holds a hundred calls a second of 20 applications. Folding comes later on both sides: ours folds every
10 s in the worker, the naive rows would have to be summed by each query.
"""

import json
import secrets
from collections.abc import Iterator
from datetime import timedelta
from itertools import cycle
from statistics import median

from django.utils import timezone

from catalog.authentication import HEADER
from catalog.services.gateways import create_gateway
from metrics.simulation import Target
from stoa_cp.domain.actors import SYSTEM
from tests.apikeys.processes import web_processes
from tests.benchmarks.load import measure_streams
from tests.benchmarks.results import ROUNDS, SECONDS, Row
from tests.benchmarks.traffic import calls, make_targets
from tests.benchmarks.verification import NAIVE, OURS
from tests.factories import TenantFactory

GOALS = {1_000: 10, 10_000: 20}  # by records in a batch
CALLS_PER_SECOND = 100
CALLERS = 4
BODIES = 4  # different ones; their batch ids are always new


def ingestion_rows() -> Iterator[Row]:
    token = create_gateway("bench-ingestion", by=SYSTEM).secret
    targets = make_targets(TenantFactory(name="bench-ingestion"), apis=10, subscriptions=20)
    with web_processes(OURS, NAIVE) as servers:
        ports = [server.port for server in servers]
        for size, goal in GOALS.items():
            yield _compare(ports, token, _records_of_bodies(targets, size), size, goal)


def _compare(ports: list[int], token: str, bodies: list[bytes], size: int, goal: int) -> Row:
    streams = [_requests(token, bodies) for _caller in range(CALLERS)]
    for port in ports:
        measure_streams(port, streams, seconds=0.5)
    rounds = [
        [measure_streams(port, streams, seconds=SECONDS).per_second * size for port in ports]
        for _round in range(ROUNDS)
    ]
    ours, naive = (median(one[place] for one in rounds) for place in (0, 1))
    name = f"traffic over HTTP, {size:,} records a batch"
    return Row(name, f"{ours:,.0f} records/s", f"`bulk_create`: {naive:,.0f} records/s", ours / naive, goal)


def _records_of_bodies(targets: list[Target], size: int) -> list[bytes]:
    length = timedelta(seconds=size / CALLS_PER_SECOND)
    start = timezone.now() - timedelta(hours=1)
    return [
        json.dumps(list(calls(targets, start + number * length, length, size))).encode() for number in range(BODIES)
    ]


def _requests(token: str, bodies: list[bytes]) -> Iterator[bytes]:
    for records in cycle(bodies):
        body = b'{"batch_id":"%s","records":%s}' % (secrets.token_hex(8).encode(), records)
        yield (
            f"POST /v1/gateway/traffic HTTP/1.1\r\nHost: 127.0.0.1\r\n{HEADER}: {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body
