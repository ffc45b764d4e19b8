"""Workers that are killed before, during and after the send, or frozen: W1 to W3."""

import signal
from collections.abc import Collection
from time import monotonic, sleep

from tests.faults import processes
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.world import START_SECONDS, World
from tests.waiting import wait_until
from tests.webhooks.receivers import Receiver, Reply
from webhooks.delivery.queue import LEASE_SECONDS
from webhooks.models import Attempt, Delivery

KILLS, DELIVERIES = 25, 2000
# A kill leaves up to 24 leases, which count as in flight until they end: the tenants and webhooks suffice for 25 kills.
TENANTS, WEBHOOKS_EACH = 40, 2
KILL_AFTER_SECONDS = 0.4
THREADS = 16
# What a worker has in hand at most: what its threads send, and what has been answered or waits at their door.
SLOTS = THREADS + THREADS // 2
GRACE_SECONDS = 5


@injects(
    Fault(
        "W1",
        "worker killed between the receiver's 200 and the settle",
        f"`kill -9` × {KILLS}, each {KILL_AFTER_SECONDS} s after the first delivery, {DELIVERIES:,} deliveries",
        f"lost 0; duplicates ≤ kills × slots ({THREADS} threads have {SLOTS} deliveries in hand at most)",
        "tests/webhooks/test_dying_workers.py",
    )
)
def kill_workers(world: World) -> Measured:
    with Receiver(Reply(delay_seconds=0.2)).running() as receiver:
        for _tenant in range(TENANTS):
            tenant = world.tenant()
            for webhook in world.webhooks(tenant, f"{receiver.url}/{tenant.id}", WEBHOOKS_EACH):
                world.queue(webhook, DELIVERIES // TENANTS // WEBHOOKS_EACH)
        for _kill in range(KILLS):
            kill_one(world, receiver)
        was_left = Delivery.objects.pending().count()
        receiver.reply = Reply()
        with world.worker(THREADS):
            wait_until(lambda: _delivered() == DELIVERIES, "all is delivered", seconds=LEASE_SECONDS + 60)
    different = {(request.path, request.headers["webhook-id"]) for request in receiver.received}
    lost, duplicates = DELIVERIES - len(different), len(receiver.received) - len(different)
    return Measured(
        f"lost {lost}; duplicates {duplicates} ≤ {KILLS} × {SLOTS}; {was_left:,} were left after the last kill",
        held=lost == 0 and duplicates <= KILLS * SLOTS and was_left > 0,
    )


def kill_one(world: World, receiver: Receiver) -> None:
    heard = len(receiver.received)
    with world.worker(THREADS) as process:
        wait_until(lambda: len(receiver.received) > heard, "the worker delivers", seconds=START_SECONDS)
        sleep(KILL_AFTER_SECONDS)
        process.send_signal(signal.SIGKILL)


def _delivered() -> int:
    return Delivery.objects.filter(status="delivered").count()


@injects(Fault("W2", "worker killed before the send", "fail-point in the worker", f"delay ≤ lease + {GRACE_SECONDS} s"))
def kill_before_the_send(world: World) -> Measured:
    with Receiver().running() as receiver:
        doomed = processes.failing("before the send", processes.delivering(4)[1:])
        world.queue(world.webhooks(world.tenant(), receiver.url)[0])[0]
        with processes.running(doomed, world.environment, world.log) as process:
            process.wait(START_SECONDS)
        died_at = monotonic()
        was_unsent = not receiver.received and process.returncode == -signal.SIGKILL
        with world.worker():
            wait_until(lambda: bool(receiver.received), "it is sent", seconds=LEASE_SECONDS + 30)
        delay = receiver.received[0].arrived_at - died_at
    return Measured(
        f"sent {delay:.1f} s after the kill (the lease is {LEASE_SECONDS:.0f} s)",
        held=was_unsent and delay <= LEASE_SECONDS + GRACE_SECONDS,
    )


@injects(
    Fault(
        "W3",
        "zombie worker",
        "SIGSTOP past the lease, then SIGCONT",
        "stale settles applied 0",
        "tests/webhooks/test_dying_workers.py",
    )
)
def freeze_a_worker(world: World) -> Measured:
    with Receiver(Reply(delay_seconds=1.0)).running() as receiver:
        with world.warm_worker() as zombie:
            stuck = world.queue(world.webhooks(world.tenant(), receiver.url)[0], 4)
            wait_until(lambda: len(receiver.received) == len(stuck), "all are on the wire", seconds=10)
            zombie.send_signal(signal.SIGSTOP)
            receiver.reply = Reply()
            with world.worker():
                wait_until(lambda: _settled(stuck) == len(stuck), "another settles", seconds=LEASE_SECONDS + 30)
            zombie.send_signal(signal.SIGCONT)
            zombie.send_signal(signal.SIGTERM)
            zombie.wait(START_SECONDS)
        attempts = Attempt.objects.filter(delivery__in=stuck)
    stale = attempts.exclude(number=2).count() + attempts.count() - len(stuck)
    return Measured(f"stale settles applied {stale} of {len(stuck)}", held=stale == 0)


def _settled(deliveries: Collection[Delivery]) -> int:
    return Delivery.objects.filter(pk__in=[each.pk for each in deliveries], status="delivered").count()
