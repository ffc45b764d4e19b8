"""Verification and forward-auth with exact limits on PostgreSQL alone, against the obvious DRF and ORM."""

import json
from collections.abc import Iterator
from statistics import median

from apikeys.services import NewKey, issue_key
from catalog.authentication import HEADER
from catalog.gateways import register_gateway
from stoa_cp.actors import SYSTEM
from tests.apikeys.processes import Application, web_processes
from tests.benchmarks.load import Measured, measure
from tests.benchmarks.results import ROUNDS, SECONDS, Row
from tests.factories import ApiFactory, PlanFactory, SubscriptionFactory, TenantFactory

CALLERS = 8  # as many as the servers have threads
APIS, SUBSCRIPTIONS_PER_API = 10, 10
UNLIMITED = 2_000_000_000  # a limit that is counted against, and never reached

OURS = Application(workers=2)
NAIVE = Application("tests.benchmarks.naive.wsgi:application", "tests.benchmarks.naive.settings", workers=2)
NAMES = {"verify": "key verification, exact limits, PostgreSQL alone", "authorize": "forward-auth, the same"}


def verification_rows() -> Iterator[Row]:
    token, keys = make_keys()
    with web_processes(OURS, NAIVE) as servers:
        for kind, requests in requests_of(token, keys).items():
            yield from compare(NAMES[kind], [server.port for server in servers], requests)


def compare(name: str, ports: list[int], requests: list[bytes]) -> Iterator[Row]:
    """Measure both in turn: what else the machine does meets both alike."""
    for port in ports:
        measure(port, requests, seconds=1, callers=CALLERS)
    rounds: list[list[Measured]] = [
        [measure(port, requests, seconds=SECONDS, callers=CALLERS) for port in ports] for _round in range(ROUNDS)
    ]
    ours, naive = (median(one[place].per_second for one in rounds) for place in (0, 1))
    ours_p99, naive_p99 = (median(one[place].p99_ms for one in rounds) for place in (0, 1))
    yield Row(name, f"{ours:,.0f}/s", f"{naive:,.0f}/s", ours / naive, goal=5)
    yield Row(f"{name}: p99", f"{ours_p99:.1f} ms", f"{naive_p99:.1f} ms", naive_p99 / ours_p99)


def make_keys() -> tuple[str, list[tuple[str, str]]]:
    """Return a gateway's token, and the path and the key of each subscription."""
    _gateway, token = register_gateway("bench", by=SYSTEM)
    tenant = TenantFactory(name="acme")
    plan, keys = PlanFactory(tenant=tenant), []
    for _number in range(APIS):
        api = ApiFactory(tenant=tenant)
        for _application in range(SUBSCRIPTIONS_PER_API):
            subscription = SubscriptionFactory(
                tenant=tenant, api=api, plan=plan, active=True, rate_limit=UNLIMITED, quota=UNLIMITED
            )
            keys.append((f"/acme{api.path}/items/1", issue_key(subscription, NewKey(), by=SYSTEM)[1]))
    return token, keys


def requests_of(token: str, keys: list[tuple[str, str]]) -> dict[str, list[bytes]]:
    """Return the bytes of one request for each key."""
    return {
        "verify": [verify_request(token, key) for _path, key in keys],
        "authorize": [
            f"GET /v1/gateway/authorize HTTP/1.1\r\nHost: 127.0.0.1\r\n{HEADER}: {token}\r\n"
            f"X-Forwarded-Method: GET\r\nX-Forwarded-Uri: {path}\r\nX-API-Key: {key}\r\n\r\n".encode()
            for path, key in keys
        ],
    }


def verify_request(token: str, key: str) -> bytes:
    body = json.dumps({"key": key})
    head = (
        f"POST /v1/gateway/keys/verify HTTP/1.1\r\nHost: 127.0.0.1\r\n{HEADER}: {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()
