"""A web server that is told to end while it is busy: H3."""

from collections import Counter
from http import HTTPStatus
from time import sleep

from django.db import transaction

from catalog.models import Api
from tests.factories import ApiFactory
from tests.faults.load import Call
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.sockets import RawRequest, bearer_bytes
from tests.faults.world import World
from tests.waiting import wait_until

STUCK, HALVES, SHORT = 16, 8, 26
IN_FLIGHT = STUCK + HALVES + SHORT
STOP_SECONDS = 10


def creations(world: World, count: int) -> list[bytes]:
    """Return requests that each make an API."""
    tenant, names = world.tenant(), range(count)
    return [
        bearer_bytes(
            world.token,
            "POST",
            f"/tenants/{tenant.id}/apis",
            {"name": f"api-{name}", "path": f"/{name}", "upstream_url": "https://198.51.100.7"},
        )
        for name in names
    ]


def changes(world: World, apis: list[Api]) -> list[bytes]:
    """Return requests that each change an API, and wait for whoever has locked it."""
    return [
        bearer_bytes(world.token, "PATCH", f"/tenants/{api.tenant_id}/apis/{api.id}", {"description": "new"})
        for api in apis
    ]


@injects(
    Fault(
        "H3",
        f"SIGTERM with {IN_FLIGHT} in flight",
        f"{STUCK} wait for locked rows, {HALVES} have sent half of their body, {SHORT} are queued behind them",
        "connection errors 0, each answer complete and a success, accepted writes lost 0",
    )
)
def stop_in_flight(world: World) -> Measured:
    apis = ApiFactory.create_batch(STUCK, tenant=world.tenant())
    with world.web_server() as server:
        stuck = _sent(server.port, changes(world, apis))
        with transaction.atomic():
            list(Api.objects.select_for_update().filter(pk__in=[api.pk for api in apis]))
            for request in stuck:
                request.send()
            halves, short = _sent(server.port, creations(world, HALVES)), _sent(server.port, creations(world, SHORT))
            for request in halves:
                request.send(-20)
            for request in short:
                request.send()
            sleep(0.3)
            server.process.terminate()
            sleep(0.3)
            for request in halves:
                request.send()
        calls = [request.answer() for request in [*stuck, *halves, *short]]
        stopped = wait_until(lambda: server.process.poll() is not None, "the server ends", seconds=STOP_SECONDS)
    return _judge(calls, apis, stopped)


def _sent(port: int, contents: list[bytes]) -> list[RawRequest]:
    return [RawRequest(port, content) for content in contents]


def _judge(calls: list[Call], apis: list[Api], stopped_seconds: float) -> Measured:
    statuses = Counter(call.status for call in calls)
    created = {call.json["id"] for call in calls if call.status == HTTPStatus.CREATED}
    changed = sum(call.status == HTTPStatus.OK for call in calls)
    rows = Api.objects.filter(pk__in=created).count()
    new = Api.objects.filter(pk__in=[api.pk for api in apis], description="new").count()
    lost = len(created) - rows + max(0, changed - new)
    return Measured(
        f"statuses {dict(sorted(statuses.items()))}, lost {lost}; the server ended {stopped_seconds:.1f} s after the "
        "last answer",
        held=set(statuses) <= {HTTPStatus.OK, HTTPStatus.CREATED} and lost == 0,
    )
