"""Receivers whose answers are slow, endless or broken: W7 to W9."""

import gzip
import socket
from contextlib import ExitStack

import psutil

from tenants.models import Tenant
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.processes import watching
from tests.faults.world import World
from tests.waiting import wait_until
from tests.webhooks.receivers import RawReceiver, Receiver, Reply, Script, answering, dripping, read_request
from webhooks.delivery.client import DEADLINE_SECONDS
from webhooks.models import Attempt

LATE_SECONDS = 0.5
DRIP_SECONDS = 0.2  # few enough headers for the client to go on reading
GIGABYTE = 1_000_000_000
MEGABYTE = 1_000_000
MOST_GROWTH_MB = 5
ROUNDS = 10

DRIPS = {
    "status line": (b"", b"H"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-Slow: 1\r\n"),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n", b"x"),
    "endless 100": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}
ODD_ANSWERS = (
    b"HTTP/1.1 200 OK\r\n\r\nNUL \x00 and \xff\xfe",
    b"HTTP/1.1 500 No\r\n\r\n\x00\xff",
    b"HTTP/1.1 200 OK\r\nX-Odd: \x00\xff\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X-Many: 1\r\n" * 1000 + b"\r\n",
    b"HTTP/1.1 twohundred OK\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"",
)


def deliver_to(world: World, scripts: list[Script], seconds: float) -> tuple[list[Attempt], int]:
    """Deliver once to a receiver for each script; return the attempts, and how many connections were made."""
    tenant = world.tenant()
    with ExitStack() as stack:
        receivers = [stack.enter_context(RawReceiver(script).running()) for script in scripts]
        stack.enter_context(world.warm_worker(threads=16))
        deliveries = [world.queue(world.webhooks(tenant, each.url)[0])[0] for each in receivers]
        attempts = Attempt.objects.filter(delivery__in=deliveries, number=1)
        wait_until(lambda: attempts.count() == len(scripts), "an attempt at each is recorded", seconds=seconds)
        return list(attempts), sum(each.connections for each in receivers)


@injects(
    Fault(
        "W7",
        "slow-loris receiver",
        f"one byte or line every {DRIP_SECONDS} s: " + ", ".join(DRIPS),
        f"attempt ≤ {DEADLINE_SECONDS} s + {LATE_SECONDS} s",
        "tests/webhooks/test_client.py",
    )
)
def drip(world: World) -> Measured:
    scripts = [dripping(start, drop, DRIP_SECONDS) for start, drop in DRIPS.values()]
    attempts, _connections = deliver_to(world, scripts, DEADLINE_SECONDS + 20)
    slowest = max(attempt.duration_ms for attempt in attempts) / 1000
    return Measured(
        f"{len(attempts)} attempts, the longest {slowest:.2f} s",
        held=slowest <= DEADLINE_SECONDS + LATE_SECONDS and all(each.error == "timeout" for each in attempts),
    )


def pour_a_gigabyte(connection: socket.socket) -> None:
    """Answer with as much as the client is willing to take."""
    read_request(connection)
    connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {GIGABYTE}\r\n\r\n".encode())
    for _chunk in range(GIGABYTE // 65536):
        connection.sendall(b"x" * 65536)


@injects(
    Fault(
        "W8",
        "1 GB body, gzip bomb",
        f"servers, {ROUNDS} deliveries to each, the worker's memory read every 10 ms",
        f"RSS + < {MOST_GROWTH_MB} MB",
        "tests/webhooks/test_client.py",
    )
)
def pour(world: World) -> Measured:
    bomb = gzip.compress(bytes(100 * MEGABYTE))
    tenant = world.tenant()
    with (
        RawReceiver(pour_a_gigabyte).running() as endless,
        Receiver(Reply(200, {"Content-Encoding": "gzip"}, bomb)).running() as packed,
        Receiver().running() as plain,
        world.warm_worker() as process,
    ):
        _deliver_rounds(world, tenant, [plain.url, plain.url])  # what an ordinary burst takes is no part of it
        with watching([psutil.Process(process.pid)]) as sizes:
            _deliver_rounds(world, tenant, [endless.url, packed.url])
    growth = (max(sizes) - sizes[0]) / MEGABYTE
    return Measured(f"RSS + {growth:.1f} MB over {sizes[0] / MEGABYTE:.0f} MB", held=growth < MOST_GROWTH_MB)


def _deliver_rounds(world: World, tenant: Tenant, urls: list[str]) -> None:
    deliveries = [delivery for url in urls for delivery in world.queue(world.webhooks(tenant, url)[0], ROUNDS)]
    attempts = Attempt.objects.filter(delivery__in=deliveries)
    wait_until(lambda: attempts.count() >= len(deliveries), "all were tried", seconds=60)


@injects(
    Fault(
        "W9",
        "NUL, bad UTF-8, 1,000 headers in the answer",
        f"server, {len(ODD_ANSWERS)} odd answers",
        "attempts recorded = sent",
        "tests/webhooks/test_deliver.py",
    )
)
def answer_oddly(world: World) -> Measured:
    attempts, connections = deliver_to(world, [answering(content) for content in ODD_ANSWERS], 30)
    return Measured(f"sent {connections}, recorded {len(attempts)}", held=connections == len(attempts))
