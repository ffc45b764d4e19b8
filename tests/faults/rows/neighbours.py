"""A dead receiver beside healthy ones: W13."""

from statistics import quantiles
from time import monotonic, sleep

from tenants.models import Tenant
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.world import World
from tests.waiting import wait_until
from tests.webhooks.factories import an_event
from tests.webhooks.receivers import RawReceiver, Receiver, dripping
from webhooks.delivery.queue import MAX_IN_FLIGHT_PER_WEBHOOK

HEALTHY, QUEUED = 50, 1000
EVENTS, EVERY_SECONDS = 20, 0.5
MOST_FACTOR = 2
PATIENCE_SECONDS = 60


@injects(
    Fault(
        "W13",
        f"one dead receiver with {QUEUED:,} queued, {HEALTHY} healthy",
        f"drip server; {EVENTS} events to the healthy ones, before it and beside it",
        f"healthy p95 ≤ {MOST_FACTOR} ×",
        "tests/webhooks/test_deliver.py",
    )
)
def queue_behind_the_dead(world: World) -> Measured:
    tenant = world.tenant()
    with (
        RawReceiver(dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x", 0.5)).running() as dead,
        Receiver().running() as healthy,
        world.warm_worker(threads=32),
    ):
        world.webhooks(tenant, healthy.url, HEALTHY)
        alone = _p95_seconds(tenant, healthy)
        world.queue(world.webhooks(world.tenant(), dead.url)[0], QUEUED)
        wait_until(
            lambda: dead.connections >= MAX_IN_FLIGHT_PER_WEBHOOK, "the dead one is tried", seconds=PATIENCE_SECONDS
        )
        beside = _p95_seconds(tenant, healthy)
    return Measured(
        f"p95 {alone * 1000:.0f} ms alone, {beside * 1000:.0f} ms beside it: × {beside / alone:.2f}",
        held=beside <= MOST_FACTOR * alone,
    )


def _p95_seconds(tenant: Tenant, receiver: Receiver) -> float:
    """Return the 95th percentile of the time from an event's commit to its arrivals."""
    receiver.received.clear()
    committed_at = {}
    for _number in range(EVENTS):
        committed_at[an_event(tenant).id] = monotonic()
        sleep(EVERY_SECONDS)
    wait_until(lambda: len(receiver.received) >= EVENTS * HEALTHY, "all are delivered", seconds=PATIENCE_SECONDS)
    times = [request.arrived_at - committed_at[request.headers["webhook-id"]] for request in receiver.received]
    return quantiles(times, n=20)[-1]
