"""Dead receivers beside healthy ones: W13 and W16."""

from statistics import median, quantiles
from time import monotonic, sleep

from django.db import transaction

from tenants.models import Tenant
from tests.factories import PlanFactory, SubscriptionFactory
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.world import World
from tests.waiting import wait_until
from tests.webhooks.factories import WebhookFactory, an_event
from tests.webhooks.receivers import RawReceiver, Receiver, dripping, silent
from webhooks.delivery.queue import MAX_IN_FLIGHT_PER_WEBHOOK
from webhooks.models import Webhook

HEALTHY, QUEUED = 50, 1000
EVENTS, EVERY_SECONDS = 20, 0.5
MOST_FACTOR = 2
PATIENCE_SECONDS = 60
CALLBACKS, SILENT_WEBHOOKS, QUEUED_EACH = 110, 20, 4
CROWDED_SECONDS = 300  # to measure the longest wait also where the promise is broken


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
        alone = _p95(_seconds_to(tenant, healthy))
        world.queue(world.webhooks(world.tenant(), dead.url)[0], QUEUED)
        wait_until(
            lambda: dead.connections >= MAX_IN_FLIGHT_PER_WEBHOOK, "the dead one is tried", seconds=PATIENCE_SECONDS
        )
        beside = _p95(_seconds_to(tenant, healthy))
    return Measured(
        f"p95 {alone * 1000:.0f} ms alone, {beside * 1000:.0f} ms beside it: × {beside / alone:.2f}",
        held=beside <= MOST_FACTOR * alone,
    )


@injects(
    Fault(
        "W16",
        f"{CALLBACKS} callbacks and {SILENT_WEBHOOKS} webhooks of one tenant whose receiver never answers",
        f"silent server, {QUEUED_EACH} deliveries due for each; {EVENTS} events of another tenant, before and beside",
        f"the other tenant's p95 ≤ {MOST_FACTOR} ×",
        "tests/webhooks/test_fairness.py",
    )
)
def crowd_the_queue(world: World) -> Measured:
    quiet, loud = world.tenant(), world.tenant()
    with RawReceiver(silent).running() as dead, Receiver().running() as healthy, world.warm_worker(threads=32):
        world.webhooks(quiet, healthy.url)
        alone = _seconds_to(quiet, healthy)
        queue_for_the_silent(world, loud, dead.url)
        wait_until(lambda: dead.connections > 0, "the dead ones are tried", seconds=PATIENCE_SECONDS)
        beside = _seconds_to(quiet, healthy)
    return Measured(
        f"median, p95 and longest wait {_in_ms(alone)} alone, {_in_ms(beside)} beside them: "
        f"p95 × {_p95(beside) / _p95(alone):.2f}",
        held=_p95(beside) <= MOST_FACTOR * _p95(alone),
    )


def queue_for_the_silent(world: World, tenant: Tenant, url: str) -> None:
    """Make deliveries due for callbacks and webhooks of one tenant."""
    plan = PlanFactory(tenant=tenant)
    subscriptions = SubscriptionFactory.create_batch(CALLBACKS, tenant=tenant, plan=plan)
    callbacks = [WebhookFactory(tenant=tenant, subscription=each, url=url) for each in subscriptions]
    with transaction.atomic():
        for webhook in [*callbacks, *world.webhooks(tenant, url, SILENT_WEBHOOKS)]:
            world.queue(webhook, QUEUED_EACH)


def _seconds_to(tenant: Tenant, receiver: Receiver) -> list[float]:
    """Return the times from an event's commit to its arrivals."""
    receiver.received.clear()
    webhooks = Webhook.objects.filter(tenant=tenant).count()
    committed_at = {}
    for _number in range(EVENTS):
        committed_at[an_event(tenant).id] = monotonic()
        sleep(EVERY_SECONDS)
    wait_until(lambda: len(receiver.received) >= EVENTS * webhooks, "all are delivered", seconds=CROWDED_SECONDS)
    return [request.arrived_at - committed_at[request.headers["webhook-id"]] for request in receiver.received]


def _p95(seconds: list[float]) -> float:
    return quantiles(seconds, n=20)[-1]


def _in_ms(seconds: list[float]) -> str:
    return " / ".join(f"{value * 1000:,.0f}" for value in (median(seconds), _p95(seconds), max(seconds))) + " ms"
