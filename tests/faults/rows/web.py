"""Web processes that are killed around the commit: W4 and W5."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from catalog.models import Api
from stoa_cp.eventlog.models import Event
from tests.faults import processes
from tests.faults.load import Caller
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.world import START_SECONDS, World
from tests.waiting import comes_true, wait_until
from tests.webhooks.receivers import Receiver

DELAY_SECONDS = 10
PATIENCE_SECONDS = 30


@contextmanager
def dying_web(world: World, point: str) -> Iterator[int]:
    """Run a web server on a port, of which each process dies when it comes to ``point``."""
    environment = {**world.environment, "STOA_FAULT": point}
    with processes.web(environment, world.log, "tests.faults.failing_web:application") as server:
        yield server.port


def write_and_die(world: World, point: str, tenant_id: str) -> int:
    """Create an API at a server that dies at ``point``; return the status that came back, 0 for none."""
    with dying_web(world, point) as port:
        return Caller(port, world.token).create_api(tenant_id).status


@injects(
    Fault(
        "W4",
        "web process killed between COMMIT and the task",
        "fail-point in the web process; Celery with its clock runs",
        f"lost 0, delay ≤ {DELAY_SECONDS} s",
    )
)
def kill_after_the_commit(world: World) -> Measured:
    tenant = world.tenant()
    with Receiver().running() as receiver, world.celery():
        webhook = world.webhooks(tenant, receiver.url)[0]
        world.queue(webhook)
        wait_until(lambda: bool(receiver.received), "the Celery worker delivers", seconds=START_SECONDS)
        receiver.received.clear()
        status = write_and_die(world, "between commit and publishing", tenant.id)
        died_at = monotonic()
        rows = Api.objects.filter(tenant=tenant).count()
        is_heard = comes_true(lambda: bool(receiver.received), seconds=PATIENCE_SECONDS)
    delay = max(0.0, receiver.received[0].arrived_at - died_at) if is_heard else float("inf")
    return Measured(
        f"rows {rows}, events delivered {len(receiver.received)}, {delay:.1f} s after the kill",
        held=status == 0 and rows == 1 and delay <= DELAY_SECONDS,
    )


@injects(Fault("W5", "web process killed before COMMIT", "fail-point in the web process", "orphan events 0"))
def kill_before_the_commit(world: World) -> Measured:
    tenant = world.tenant()
    status = write_and_die(world, "before the commit", tenant.id)
    rows = Api.objects.filter(tenant=tenant).count()
    events = Event.objects.filter(tenant_id=tenant.id).count()
    return Measured(f"rows {rows}, events {events}", held=status == 0 and rows == events == 0)
