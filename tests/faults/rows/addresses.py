"""Receivers that lead inside: redirects, names that change, hostile hosts. W10 to W12."""

import socket
from contextlib import ExitStack
from http import HTTPStatus

from tests.faults.isolation import METADATA, PUBLIC
from tests.faults.load import Call, Caller
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.names import NameServer
from tests.faults.world import World
from tests.kernel.net.urls import HOSTILE
from tests.waiting import wait_until
from tests.webhooks.factories import WebhookFactory
from tests.webhooks.receivers import RawReceiver, Receiver, Reply
from webhooks.models import Attempt, Delivery, Failure

REDIRECTS = (301, 302, 303, 307, 308)
REBINDINGS = 40
PATIENCE_SECONDS = 40
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def visitors_of(address: str) -> RawReceiver:
    """Count who comes to an address on port 80, and answer 200."""
    return RawReceiver(_answer_ok, (address, 80))


def _answer_ok(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(OK)


def await_attempts(deliveries: list[Delivery]) -> list[Attempt]:
    """Return the first attempt at each delivery."""
    attempts = Attempt.objects.filter(delivery__in=deliveries, number=1)
    wait_until(lambda: attempts.count() == len(deliveries), "each was tried", seconds=PATIENCE_SECONDS)
    return list(attempts)


@injects(
    Fault(
        "W10",
        "redirect to 169.254.169.254",
        f"server in a network namespace that has this address, {', '.join(map(str, REDIRECTS))}",
        "hits 0",
        "tests/webhooks/test_deliver.py",
        needs_namespace=True,
    )
)
def redirect_inside(world: World) -> Measured:
    tenant = world.tenant()
    location = {"Location": f"http://{METADATA}/latest/meta-data/"}
    with ExitStack() as stack:
        metadata = stack.enter_context(visitors_of(METADATA).running())
        receivers = [stack.enter_context(Receiver(Reply(status, location)).running()) for status in REDIRECTS]
        # Allowed here, so that nothing but the rule about redirects protects it.
        stack.enter_context(world.warm_worker(STOA_EGRESS_ALLOW=f"127.0.0.0/8,{METADATA}/32"))
        deliveries = [world.queue(world.webhooks(tenant, each.url)[0])[0] for each in receivers]
        attempts = await_attempts(deliveries)
    return Measured(
        f"hits {metadata.connections} in {len(attempts)} attempts",
        held=metadata.connections == 0 and all(attempt.error == Failure.HTTP_ERROR for attempt in attempts),
    )


@injects(
    Fault(
        "W11",
        "DNS rebinding",
        f"name server in a network namespace: {PUBLIC}, {METADATA}, {PUBLIC}, 127.0.0.1, … at each question",
        "hits 0",
        "tests/webhooks/test_client.py",
        needs_namespace=True,
    )
)
def rebind(world: World) -> Measured:
    tenant = world.tenant()
    with (
        NameServer([PUBLIC, METADATA, PUBLIC, "127.0.0.1"]).running() as names,
        visitors_of(PUBLIC).running() as public,
        visitors_of(METADATA).running() as metadata,
        visitors_of("127.0.0.1").running() as loopback,
        world.worker(STOA_EGRESS_ALLOW=""),
    ):
        webhooks = world.webhooks(tenant, "http://rebind.example/hook", REBINDINGS // 4)
        attempts = await_attempts([each for webhook in webhooks for each in world.queue(webhook, 4)])
    blocked = sum(attempt.error == Failure.BLOCKED_ADDRESS for attempt in attempts)
    inside, outside = metadata.connections + loopback.connections, public.connections
    return Measured(
        f"hits inside {inside}, outside {outside}; {blocked} of {len(attempts)} blocked; {names.questions} questions",
        held=inside == 0 and outside > 0 and blocked > 0,
    )


@injects(
    Fault(
        "W12",
        "40 hostile hosts",
        "table, over REST and as rows that are due",
        "40/40 refused at creation and at send",
        "tests/webhooks/test_blocked_addresses.py",
    )
)
def name_hostile_hosts(world: World) -> Measured:
    tenant = world.tenant()
    strict = {"STOA_EGRESS_ALLOW": "", "STOA_ALLOW_HTTP_WEBHOOKS": "false"}
    with world.web(**strict) as port:
        caller = Caller(port, world.token)
        calls = [caller.post(f"/tenants/{tenant.id}/webhooks", {"url": url, "events": ["*"]}) for url in HOSTILE]
    refused = sum(_is_refused_for_its_url(call) for call in calls)
    with world.worker(**strict):
        deliveries = [world.queue(WebhookFactory(tenant=tenant, url=url))[0] for url in HOSTILE]
        blocked = sum(attempt.error == Failure.BLOCKED_ADDRESS for attempt in await_attempts(deliveries))
    return Measured(
        f"refused at creation {refused}/{len(HOSTILE)}, at send {blocked}/{len(HOSTILE)}",
        held=refused == blocked == len(HOSTILE),
    )


def _is_refused_for_its_url(call: Call) -> bool:
    return call.status == HTTPStatus.BAD_REQUEST and call.json["error"]["details"][0]["field"] == "url"
