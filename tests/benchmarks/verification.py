"""Verification and forward-auth with exact limits: from memory, by a statement each, and the obvious DRF and ORM."""

import json
from collections.abc import Iterator
from statistics import median

from apikeys.services.keys import NewKey, issue_key
from catalog.authentication import HEADER
from catalog.services.gateways import create_gateway
from stoa_cp.domain.actors import SYSTEM
from tests.apikeys.processes import Application, WebProcess, web_processes
from tests.benchmarks.load import Measured, measure
from tests.benchmarks.results import ROUNDS, SECONDS, Row
from tests.benchmarks.witness import Findings, witnessing
from tests.factories import ApiFactory, PlanFactory, SubscriptionFactory, TenantFactory

WARM_UP_SECONDS = 0.5
CALLERS = 8  # as many as the servers have threads
APIS, SUBSCRIPTIONS_PER_API = 10, 10
UNLIMITED = 2_000_000_000  # a limit that is counted against, and never reached

OURS = Application(workers=2)
# Every call is a trip to the database.
ASKING = Application(workers=2, environment={"STOA_DECISION_CACHE": "false"})
NAIVE = Application("tests.benchmarks.naive.wsgi:application", "tests.benchmarks.naive.settings", workers=2)
BARE = Application("tests.benchmarks.naive.bare:application", workers=2)
NAMES = {"verify": "key verification", "authorize": "forward-auth"}


def verification_rows() -> Iterator[Row]:
    token, keys = make_keys()
    with web_processes(OURS, ASKING, NAIVE, BARE) as servers:
        servers[0].token = token
        for kind, requests in requests_of(token, keys).items():
            yield from _compare(NAMES[kind], [server.port for server in servers], requests)
            yield from _watch(NAMES[kind], servers[0], requests)


def _compare(name: str, ports: list[int], requests: list[bytes]) -> Iterator[Row]:
    """Measure all in turn: what else the machine does meets them alike."""
    rounds = [[_measure_warm(port, requests) for port in ports] for _round in range(ROUNDS)]
    warm, asking, naive, bare = (
        Measured(median(one[place].per_second for one in rounds), median(one[place].p99_ms for one in rounds))
        for place in range(len(ports))
    )
    yield _speed(f"{name}, exact limits, keys warm", warm, naive, goal=15)
    yield _slowness(f"{name}, exact limits, keys warm: p99", warm, naive, goal=5)
    yield _speed(f"{name}, exact limits, keys warm, against bare WSGI", warm, bare, goal=0.35)
    yield _speed(f"{name}, exact limits, PostgreSQL alone", asking, naive, goal=5)
    yield _slowness(f"{name}, exact limits, PostgreSQL alone: p99", asking, naive)


def _measure_warm(port: int, requests: list[bytes]) -> Measured:
    """Measure when the server has caught up: while it waits for its turn, its keys get cold."""
    measure(port, requests, seconds=WARM_UP_SECONDS, callers=CALLERS)
    return measure(port, requests, seconds=SECONDS, callers=CALLERS)


def _watch(name: str, server: WebProcess, requests: list[bytes]) -> Iterator[Row]:
    """Look at what is promised beside the same load, which does not count as speed: the witness is part of it."""
    findings = Findings()
    with witnessing(server, findings):
        for _round in range(ROUNDS):
            measure(server.port, requests, seconds=SECONDS, callers=CALLERS)
    yield _kept(f"{name}, keys warm: quotas used up under that load, to the call", findings.quotas, findings.inexact)
    yield _kept(f"{name}, keys warm: revocations under that load, at once", findings.revocations, findings.late)


def _kept(name: str, times: int, failures: int) -> Row:
    return Row(name, f"{times - failures} kept", f"{times} promised", (times - failures) / times, goal=1)


def _speed(name: str, ours: Measured, other: Measured, *, goal: float) -> Row:
    ratio = ours.per_second / other.per_second
    return Row(name, f"{ours.per_second:,.0f}/s", f"{other.per_second:,.0f}/s", ratio, goal)


def _slowness(name: str, ours: Measured, other: Measured, *, goal: float | None = None) -> Row:
    return Row(name, f"{ours.p99_ms:.1f} ms", f"{other.p99_ms:.1f} ms", other.p99_ms / ours.p99_ms, goal)


def make_keys() -> tuple[str, list[tuple[str, str]]]:
    """Return a gateway's token, and the path and the key of each subscription."""
    token = create_gateway("bench", by=SYSTEM).secret
    tenant = TenantFactory(name="acme")
    plan, keys = PlanFactory(tenant=tenant), []
    for _number in range(APIS):
        api = ApiFactory(tenant=tenant)
        for _application in range(SUBSCRIPTIONS_PER_API):
            subscription = SubscriptionFactory(
                tenant=tenant, api=api, plan=plan, active=True, rate_limit=UNLIMITED, quota=UNLIMITED
            )
            keys.append((f"/acme{api.path}/items/1", issue_key(subscription, NewKey(), by=SYSTEM).secret))
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
