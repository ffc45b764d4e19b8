"""Web processes that let calls pass from memory, and are killed or told to end meanwhile: K1 and K2."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from threading import Event, Thread
from time import sleep

from django.db.models.functions import Now

from apikeys.decisions.cache import MAX_BLOCK_CALLS
from apikeys.models import Meter
from apikeys.services.keys import NewKey, issue_key
from stoa_cp.caching.models import CacheLease
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Subscription
from tests.apikeys.processes import WebProcess
from tests.factories import SubscriptionFactory
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.processes import Server
from tests.faults.world import World
from tests.waiting import wait_until

CALLERS = 4  # of each server
KILLS = 6
LIMIT = 100_000
EVERY_CALLS = LIMIT // (KILLS + 2)  # so that all kills come while calls are left
WARM_CALLS = 2_000
REST_SECONDS = 2.0  # more than the lease of a process that was killed
PATIENCE_SECONDS = 90


class Verifiers:
    """Callers that verify one key, each over a connection of its own, as fast as they are answered."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._is_over = Event()
        self._answers: list[Counter[str]] = []

    def said(self, code: str) -> int:
        """Return how often this was answered; ``broken`` where a connection broke."""
        return sum(answers[code] for answers in self._answers)

    def call(self, caller: WebProcess) -> None:
        answers: Counter[str] = Counter()
        self._answers.append(answers)
        while not self._is_over.is_set():
            try:
                answers[caller.verify(self._secret)] += 1
            except (OSError, HTTPException):
                answers["broken"] += 1
                caller.close()
                sleep(0.02)
        caller.close()

    def stop(self) -> None:
        self._is_over.set()


@contextmanager
def verifying(world: World, subscription: Subscription, servers: list[Server]) -> Iterator[Verifiers]:
    """Verify a key of the subscription at all servers for the length of the block."""
    token = world.gateway_token()
    verifiers = Verifiers(issue_key(subscription, NewKey(), by=SYSTEM).secret)
    callers = [WebProcess(server.port) for server in servers for _caller in range(CALLERS)]
    threads = [Thread(target=verifiers.call, args=[caller]) for caller in callers]
    for caller, thread in zip(callers, threads, strict=True):
        caller.token = token
        thread.start()
    try:
        yield verifiers
    finally:
        verifiers.stop()
        for thread in threads:
            thread.join()


@injects(
    Fault(
        "K1",
        "warm web process killed under load",
        f"`kill -9` × {KILLS}, of 2 servers with 2 processes each; {2 * CALLERS} callers use up {LIMIT:,} calls",
        f"calls too many 0; counted but not made ≤ {MAX_BLOCK_CALLS} and one for each caller, per kill",
    )
)
def kill_warm(world: World) -> Measured:
    subscription = SubscriptionFactory(tenant=world.tenant(), active=True, rate_limit=LIMIT, quota=LIMIT)
    with world.web_server() as one, world.web_server() as other:
        with verifying(world, subscription, [one, other]) as verifiers:
            for kill in range(KILLS):
                due = (kill + 1) * EVERY_CALLS
                wait_until(lambda due=due: verifiers.said("valid") >= due, "calls pass", seconds=PATIENCE_SECONDS)
                [one, other][kill % 2].workers()[0].kill()
            was_used = verifiers.said("valid")
            wait_until(lambda: _is_used_up(verifiers), "all calls are used up", seconds=PATIENCE_SECONDS)
        passed, broken = verifiers.said("valid"), verifiers.said("broken")
    lost = LIMIT - passed
    return Measured(
        f"passed {passed:,} of {LIMIT:,}, {was_used:,} before the last kill: too many {max(0, -lost)}, "
        f"not made {max(0, lost)} after {KILLS} kills; connections broken {broken}",
        held=0 <= lost <= KILLS * (MAX_BLOCK_CALLS + CALLERS) and was_used < LIMIT,
    )


def _is_used_up(verifiers: Verifiers) -> bool:
    before = verifiers.said("valid")
    sleep(REST_SECONDS)
    return verifiers.said("valid") == before > 0


@injects(
    Fault(
        "K2",
        "warm web server told to end under load",
        f"SIGTERM to a server with 2 processes and {CALLERS} callers of a subscription",
        "calls counted but not made 0, made but not counted 0; no lease left",
        "tests/apikeys/test_many_processes.py",
    )
)
def stop_warm(world: World) -> Measured:
    subscription = SubscriptionFactory(tenant=world.tenant(), active=True, rate_limit=None, quota=1_000_000)
    with world.web_server() as server, verifying(world, subscription, [server]) as verifiers:
        wait_until(lambda: verifiers.said("valid") > WARM_CALLS, "the processes are warm", seconds=PATIENCE_SECONDS)
        borrowed = Meter.objects.get(pk=subscription.pk).month_calls - verifiers.said("valid")
        server.process.terminate()
        seconds = wait_until(lambda: server.process.poll() is not None, "the server ends", seconds=PATIENCE_SECONDS)
    counted, made = Meter.objects.get(pk=subscription.pk).month_calls, verifiers.said("valid")
    # A process that was killed in another row has left its own, which is over.
    leases = CacheLease.objects.filter(valid_until__gt=Now()).count()
    return Measured(
        f"borrowed {borrowed}; counted {counted:,}, made {made:,}; leases left {leases}; ended after {seconds:.1f} s",
        held=counted == made and leases == 0,
    )
