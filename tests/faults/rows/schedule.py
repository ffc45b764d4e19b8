"""Receivers that fail for ever, are gone, or ask for time: W6 and W14."""

from django.db.models.functions import Now

from tests.faults.matrix import Fault, Measured, injects
from tests.faults.world import World
from tests.waiting import comes_true, wait_until
from tests.webhooks.receivers import Receiver, Reply
from webhooks.delivery.retries import DELAYS_SECONDS, MAX_JITTER
from webhooks.models import Delivery, Webhook, WebhookStatus

STEP_SECONDS = 20
CLOCK_SECONDS = 2.0  # between an attempt's start and its settlement
ASKED_SECONDS = 3600


@injects(
    Fault(
        "W6",
        "receiver answers 500 for ever",
        "local server; each waiting time is read, then cut short",
        "exactly 10 attempts at the schedule",
        "tests/webhooks/test_deliver.py",
    )
)
def answer_500_for_ever(world: World) -> Measured:
    with Receiver(Reply(500)).running() as receiver, world.warm_worker():
        delivery = world.queue(world.webhooks(world.tenant(), receiver.url)[0])[0]
        waits = []
        for attempt in range(1, len(DELAYS_SECONDS)):
            wait_until(lambda made=attempt: _is_settled(delivery, made), f"attempt {attempt}", seconds=STEP_SECONDS)
            waits.append(_wait_seconds(delivery))
            Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=Now())
        wait_until(lambda: _is_settled(delivery, len(DELAYS_SECONDS)), "the last attempt", seconds=STEP_SECONDS)
        comes_true(lambda: len(receiver.received) > len(DELAYS_SECONDS), seconds=1.0)
    delivery.refresh_from_db()
    off = sum(not _is_scheduled(*pair) for pair in zip(waits, DELAYS_SECONDS[1:], strict=True))
    return Measured(
        f"{len(receiver.received)} attempts, then {delivery.status}; waits off the schedule {off} of {len(waits)}",
        held=len(receiver.received) == len(DELAYS_SECONDS) and delivery.status == "failed" and off == 0,
    )


def _is_settled(delivery: Delivery, attempts: int) -> bool:
    return Delivery.objects.filter(pk=delivery.pk, attempt=attempts, token=None).exists()


def _wait_seconds(delivery: Delivery) -> float:
    delivery.refresh_from_db()
    last = delivery.attempts.get(number=delivery.attempt)
    return float((delivery.next_attempt_at - last.attempted_at).total_seconds())


def _is_scheduled(seconds: float, delay: float) -> bool:
    return delay <= seconds <= delay * (1 + MAX_JITTER) + CLOCK_SECONDS


@injects(
    Fault(
        "W14",
        "410; 429 and 503 with Retry-After",
        "local servers",
        f"disabled; the others wait ≥ {ASKED_SECONDS} s",
        "tests/webhooks/test_disable.py",
    )
)
def ask_for_time(world: World) -> Measured:
    asks = {"Retry-After": str(ASKED_SECONDS)}
    tenant = world.tenant()
    with (
        Receiver(Reply(410)).running() as gone,
        Receiver(Reply(429, asks)).running() as busy,
        Receiver(Reply(503, asks)).running() as away,
        world.warm_worker(),
    ):
        deliveries = [world.queue(world.webhooks(tenant, receiver.url)[0])[0] for receiver in (gone, busy, away)]
        for delivery in deliveries:
            wait_until(lambda made=delivery: _is_settled(made, 1), "it was tried", seconds=STEP_SECONDS)
    status = Webhook.objects.get(pk=deliveries[0].webhook_id).status
    waits = [_wait_seconds(delivery) for delivery in deliveries[1:]]
    return Measured(
        f"410: {status}; 429 waits {waits[0]:.0f} s, 503 waits {waits[1]:.0f} s",
        held=status == WebhookStatus.DISABLED
        and all(ASKED_SECONDS <= wait <= ASKED_SECONDS + STEP_SECONDS for wait in waits),
    )
