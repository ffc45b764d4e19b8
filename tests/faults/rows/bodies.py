"""Clients whose bodies cost threads or CPU: H4 and H5."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from statistics import quantiles
from time import monotonic

from tests.faults.load import Call, Caller
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.processes import watching
from tests.faults.rows.hostile import MEGABYTE, MOST_SECONDS, nginx, probe, warm
from tests.faults.sockets import RawRequest, bearer_bytes, request_bytes
from tests.faults.world import World

STALLED, PROBES = 30, 100
CUT_OFF_SECONDS = 10  # client_body_timeout in the guide's configuration of nginx
COSTLY, ITEMS, MOST_ANSWER_BYTES, MOST_GROWTH_MB = 8, 28_000, 64 * 1024, 100


def stalling_requests(token: str, tenant_id: str) -> list[bytes]:
    """Return the beginnings of requests that announce a body, and one byte of it: with a valid token, and with none."""
    announced = {"Content-Length": "100", "Content-Type": "application/json"}
    path = f"/v1/tenants/{tenant_id}/apis"
    owners = [announced | {"Authorization": f"Bearer {token}"}, announced]
    return [request_bytes("POST", path, owner, b"{") for owner in owners for _client in range(STALLED // 2)]


@contextmanager
def stalled(port: int, contents: list[bytes]) -> Iterator[list[RawRequest]]:
    """Send what there is of each request, and leave the connection as it is."""
    requests = [RawRequest(port, content) for content in contents]
    for request in requests:
        with suppress(OSError):
            request.send()
    try:
        yield requests
    finally:
        for request in requests:
            request.close()


def seconds_until_cut_off(port: int, contents: list[bytes]) -> float:
    """Return when the last of the stalled requests was answered or hung up on."""
    began_at = monotonic()
    with stalled(port, contents) as requests:
        for request in requests:
            request.answer()
    return monotonic() - began_at


def p99_beside(port: int, call: Callable[[], Call]) -> tuple[float, float, Counter[int]]:
    """Return the 99th percentile of the probes, the slowest of the calls between them, and what these were answered."""
    times, calls = [], []
    for _probe in range(PROBES):
        times.append(probe(port))
        calls.append(call())
    slowest = max(call.ended_at - call.began_at for call in calls)
    return quantiles(times, n=100)[-1], slowest, Counter(call.status for call in calls)


@injects(
    Fault(
        "H4",
        f"{STALLED} clients that announce a body and send one byte",
        "half of them with a token, straight at the server; then all with a token at an nginx set up as in the guide",
        f"`/healthz` p99 < {MOST_SECONDS:.0f} s; reads, and writes (503 at worst), answered in {MOST_SECONDS:.0f} s; "
        f"nginx cuts each off in {CUT_OFF_SECONDS} s",
        "tests/security/test_slow_bodies.py",
    )
)
def stall(world: World) -> Measured:
    if shutil.which("nginx") is None:
        return Measured("needs nginx", held=None)
    tenant = world.tenant()
    contents = stalling_requests(world.token, tenant.id)
    with world.web() as port:
        caller = Caller(port, world.token)
        with stalled(port, contents):
            p99, read_seconds, reads = p99_beside(port, lambda: caller.send("GET", "/me"))
            _p99, write_seconds, writes = p99_beside(port, lambda: caller.create_api(tenant.id))
        with nginx(world, port, f"client_body_timeout {CUT_OFF_SECONDS}s;") as front:
            cut_seconds = seconds_until_cut_off(front, contents[:1] * STALLED)
    is_answered = set(reads) == {200} and set(writes) <= {201, 503} and max(read_seconds, write_seconds) < MOST_SECONDS
    return Measured(
        f"p99 {p99 * 1000:.0f} ms; reads {dict(reads)} in {read_seconds * 1000:.0f} ms, writes {dict(writes)} in "
        f"{write_seconds * 1000:.0f} ms at most; behind nginx all cut off after {cut_seconds:.1f} s",
        held=p99 < MOST_SECONDS and is_answered and cut_seconds < CUT_OFF_SECONDS + 2,
    )


def costly_bodies(token: str, tenant_id: str, *, items: int) -> list[bytes]:
    """Return requests that once cost seconds of CPU or an answer of megabytes: the limit allows 28,000 items."""
    members = ",".join(f'"{number:x}":0' for number in range(items))
    person = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    doubled = request_bytes("POST", f"/v1/tenants/{tenant_id}/explain", person, f'{{{members},"0":1}}'.encode())
    nested = {f"a{level}": {"default": f"{{a{level + 1}}}{{a{level + 1}}}"} for level in range(26)}
    nested["a26"] = {"default": "x"}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Nested", "version": "1"},
        "servers": [{"url": "https://{a0}.example.com", "variables": nested}],
    }
    imported = bearer_bytes(token, "POST", f"/tenants/{tenant_id}/apis/import", document)
    webhook = {"url": "https://198.51.100.7/", "events": ["a"] * items}
    wrong = bearer_bytes(token, "POST", f"/tenants/{tenant_id}/webhooks", webhook)
    return [doubled, imported, wrong]


@injects(
    Fault(
        "H5",
        f"{COSTLY} costly bodies at once",
        f"{ITEMS:,} names, one twice; server variables nested 26 deep; {ITEMS:,} wrong items; five rounds of each",
        f"`/healthz` p99 < {MOST_SECONDS:.0f} s; answers ≤ 64 KB; RSS of both processes + < {MOST_GROWTH_MB} MB",
        "tests/security/test_costs.py",
    )
)
def be_costly(world: World) -> Measured:
    tenant = world.tenant()
    bodies = costly_bodies(world.token, tenant.id, items=ITEMS) * COSTLY * 5
    with world.web_server() as server:
        warm(server.port, world.token, tenant.id)
        for small in costly_bodies(world.token, tenant.id, items=10) * 10:  # and what these paths load when first used
            _answer(server.port, small)
        with watching(server.workers()) as sizes, ThreadPoolExecutor(COSTLY) as pool:
            calls = [pool.submit(_answer, server.port, body) for body in bodies]
            times = [probe(server.port) for _probe in range(PROBES)]
            answers = [call.result() for call in calls]
    p99, growth = quantiles(times, n=100)[-1], (max(sizes) - sizes[0]) / MEGABYTE
    statuses, largest = Counter(answer.status for answer in answers), max(len(answer.body) for answer in answers)
    is_bounded = largest <= MOST_ANSWER_BYTES and growth < MOST_GROWTH_MB and set(statuses) <= {201, 400, 409}
    return Measured(
        f"p99 {p99 * 1000:.0f} ms; {dict(sorted(statuses.items()))}, largest answer {largest / 1000:.1f} kB; "
        f"RSS + {growth:.1f} MB",
        held=p99 < MOST_SECONDS and is_bounded,
    )


def _answer(port: int, content: bytes) -> Call:
    request = RawRequest(port, content)
    request.send()
    return request.answer()
