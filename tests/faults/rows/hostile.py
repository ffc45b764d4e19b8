"""Clients that mean harm, or are slow: H1 and H2."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from statistics import quantiles
from threading import Event, Thread
from time import monotonic, sleep

from stoa_cp.devserver import programs
from stoa_cp.devserver.cluster import free_port
from tests.contract.hostile import HOSTILE_BODIES, HOSTILE_PATHS, HOSTILE_QUERIES
from tests.faults import processes
from tests.faults.load import Call, Caller
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.processes import watching
from tests.faults.sockets import RawRequest, bearer_bytes, request_bytes
from tests.faults.world import World
from tests.waiting import wait_until

GIGABYTE, MEGABYTE = 1_000_000_000, 1_000_000
FILLING = b" " * 65536
FLOODS = 6
LARGEST_BYTES = 250_000
ROUNDS = 3
MOST_GROWTH_MB = 20
WARM_CALLS = 200
HUGE_PAGES = (f"page={10**18}", f"page={2**63}", f"page={'9' * 5000}", f"page=1&limit={2**63}")
ODD_HEADERS: list[dict[str, str]] = [
    {"X-Long": "x" * MEGABYTE},
    {f"X-{number}": "x" for number in range(10_000)},
    {"X-NUL": "\x00"},
    {"Content-Length": "-1"},
    {"Content-Length": "9" * 30},
    {"Content-Length": "2, 3"},
    {"Transfer-Encoding": "chunked"},
    {"Content-Encoding": "gzip"},
    {"Authorization": "Bearer " + "." * 100_000},
    {"Cookie": "sessionid=" + "%00" * 1000},
    {"Accept-Language": "x" * 30_000},
    {"Idempotency-Key": "\x00"},
    {"If-Match": '"' * 10_000},
]
NO_HTTP = [
    b"\x16\x03\x01" + bytes(1000),
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
]
INPUTS = sum(map(len, (HOSTILE_BODIES, HOSTILE_PATHS, HOSTILE_QUERIES, HUGE_PAGES, ODD_HEADERS, NO_HTTP)))

SLOW_CLIENTS = 200
DRIP_SECONDS = 0.5
PROBES, PROBE_SECONDS = 200, 0.05
MOST_SECONDS = 1.0
NGINX = """
daemon off;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{front};
        {options}
        location / {{ proxy_pass http://127.0.0.1:{port}; }}
    }}
}}
"""


def hostile_requests(token: str) -> list[bytes]:
    """Return requests that no client with good intentions sends."""
    person = {"Authorization": f"Bearer {token}"}
    sent = person | {"Content-Type": "application/json"}
    bodies = [request_bytes("POST", "/v1/tenants", sent, body) for body in HOSTILE_BODIES.values()]
    queries = [f"/v1/tenants?{query}" for query in (*HOSTILE_QUERIES, *HUGE_PAGES)]
    gets = [request_bytes("GET", path, person) for path in (*HOSTILE_PATHS, *queries)]
    odd = [request_bytes("POST", "/v1/tenants", person | headers, b"{}") for headers in ODD_HEADERS]
    return [*bodies, *gets, *odd, *NO_HTTP]


def floods(token: str) -> list[tuple[bytes, bytes]]:
    """Return the beginning of requests with a gigabyte of body, and what that consists of."""
    person = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    announced = {"Content-Length": str(GIGABYTE)}
    form = announced | {"Content-Type": "application/x-www-form-urlencoded"}
    paths = ("/v1/tenants", "/v1/gateway/traffic", "/v1/gateway/authorize", "/nowhere")
    heads = [request_bytes("POST", path, person | announced) for path in paths]
    heads.append(request_bytes("POST", "/admin/login/", form))
    chunked = request_bytes("POST", "/v1/tenants", {**person, "Transfer-Encoding": "chunked"})
    return [*((head, FILLING) for head in heads), (chunked, f"{len(FILLING):x}\r\n".encode() + FILLING + b"\r\n")]


def throw(port: int, content: bytes) -> Call:
    """Send a request in one go; what the server has said before it hung up is its answer."""
    request = RawRequest(port, content)
    with suppress(OSError):
        request.send()
    return request.answer(content.split(b" ")[0].decode(errors="replace"))


def pour(port: int, head: bytes, filling: bytes) -> Call:
    """Send a gigabyte after ``head``, or as much of it as is taken."""
    request = RawRequest(port, head)
    with suppress(OSError):
        request.send()
        for _chunk in range(GIGABYTE // len(FILLING)):
            request.add(filling)
    return request.answer()


@injects(
    Fault(
        "H1",
        f"{INPUTS} hostile inputs",
        f"a table, {ROUNDS} times; {FLOODS} times a gigabyte; the memory of both web processes read every 10 ms",
        f"5xx 0; RSS + < {MOST_GROWTH_MB} MB",
        "tests/contract/test_errors.py",
    )
)
def be_hostile(world: World) -> Measured:
    tenant = world.tenant()
    with world.web_server() as server:
        warm(server.port, world.token, tenant.id)
        with watching(server.workers()) as sizes:
            requests = hostile_requests(world.token)
            calls = [throw(server.port, content) for _round in range(ROUNDS) for content in requests]
            calls += [pour(server.port, *flood) for flood in floods(world.token)]
        is_alive = programs.is_answering("127.0.0.1", server.port, "/healthz")
    growth = (max(sizes) - sizes[0]) / MEGABYTE
    classes = Counter(f"{call.status // 100}xx" if call.status else "hung up" for call in calls)
    return Measured(
        f"{dict(sorted(classes.items()))}; RSS + {growth:.1f} MB over {sizes[0] / MEGABYTE:.0f} MB",
        held=classes["5xx"] == 0 and growth < MOST_GROWTH_MB and is_alive,
    )


def warm(port: int, token: str, tenant_id: str) -> None:
    """Have everything loaded that ordinary calls need, large ones as well: that is no growth."""
    for number in range(WARM_CALLS):
        caller = Caller(port, token)  # over a new connection, as whoever comes later; perhaps to another process
        caller.create_api(tenant_id)
        caller.post("/tenants", {"name": "x" * (LARGEST_BYTES if number % 4 == 0 else 1)})
        caller.send("GET", f"/tenants/{tenant_id}/apis")


@contextmanager
def dribbling(port: int, contents: list[tuple[bytes, int]]) -> Iterator[None]:
    """Send the beginning of each request, then a byte twice a second; who is refused begins again."""
    is_over = Event()

    def begin(content: bytes, size: int) -> RawRequest:
        request = RawRequest(port, content)
        with suppress(OSError):
            request.send(size)
        return request

    def drip() -> None:
        requests = [begin(*content) for content in contents]
        while not is_over.wait(DRIP_SECONDS):
            for number, content in enumerate(contents):
                try:
                    requests[number].send(1)
                except OSError:
                    requests[number].close()
                    requests[number] = begin(*content)
        for request in requests:
            request.close()

    thread = Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def probe(port: int) -> float:
    """Return how long ``/healthz`` took over a new connection, infinity without a 200 in a second."""
    began_at = monotonic()
    return monotonic() - began_at if programs.is_answering("127.0.0.1", port, "/healthz") else float("inf")


@contextmanager
def nginx(world: World, port: int, options: str = "") -> Iterator[int]:
    """Run an nginx as it is by default, but for ``options``: it takes requests in whole before it passes them on."""
    front, folder = free_port(0), Path(tempfile.mkdtemp(prefix="nginx-", dir=world.folder))
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, front=front, port=port, options=options))
    with processes.running(["nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"], os.environ, world.log):
        wait_until(lambda: programs.is_answering("127.0.0.1", front, "/healthz"), "nginx answers", seconds=20)
        yield front


@injects(
    Fault(
        "H2",
        f"{SLOW_CLIENTS} slow clients",
        f"a byte every {DRIP_SECONDS} s: of their headers, straight at the server; and of their bodies, at an nginx in "
        f"front; who is refused comes again",
        f"`/healthz` p99 < {MOST_SECONDS:.0f} s; another's read gets its answer as well",
    )
)
def dribble(world: World) -> Measured:
    if shutil.which("nginx") is None:
        return Measured("needs nginx", held=None)
    tenant = world.tenant()
    content = bearer_bytes(world.token, "POST", f"/tenants/{tenant.id}/apis", {"name": "x" * 5000})
    head_bytes = content.index(b"\r\n\r\n") + 4
    with world.web() as port, nginx(world, port) as front:
        headers = _beside(world, port, [(content, 20)] * SLOW_CLIENTS)
        bodies = _beside(world, front, [(content, head_bytes + 1)] * SLOW_CLIENTS)
    return Measured(
        "; ".join(
            f"slow {what}: p99 {p99 * 1000:.0f} ms, reads {dict(statuses)}"
            for what, (p99, statuses) in (("headers", headers), ("bodies", bodies))
        ),
        held=all(p99 < MOST_SECONDS and set(statuses) == {HTTPStatus.OK} for p99, statuses in (headers, bodies)),
    )


def _beside(world: World, port: int, contents: list[tuple[bytes, int]]) -> tuple[float, Counter[int]]:
    """Return the 99th percentile of the probes beside slow clients, and what a caller was answered between them."""
    times, statuses = [], Counter[int]()
    caller = Caller(port, world.token)
    with dribbling(port, contents):
        sleep(1.0)
        for _probe in range(PROBES):
            times.append(probe(port))
            statuses[caller.send("GET", "/me").status] += 1
            sleep(PROBE_SECONDS)
    return quantiles(times, n=100)[-1], statuses
