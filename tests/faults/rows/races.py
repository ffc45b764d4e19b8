"""Decisions that collide over several web processes: R3 and R4."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from threading import Barrier
from time import monotonic
from typing import TypeVar

from django.db.models import Q
from django.db.models.functions import Now

from apikeys.models import ApiKey, KeySecret
from apikeys.services.keys import NewKey, issue_key
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Subscription
from tests.apikeys.processes import WebProcess
from tests.factories import SubscriptionFactory
from tests.faults.load import Call, Caller
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.world import World

ROUNDS = 200
CONNECTIONS = 2  # to each server, so that as a rule both of its processes are asked
WARMING_CALLS = 3
OVERLAP_SECONDS = 3600
MOST_SECRETS = 2
PATIENCE_SECONDS = 20
# A revocation is answered when every process has forgotten the key: who verifies goes on for longer.
VERIFICATIONS = 40

# To whoever came too late: there is an overlap already, or no key any more.
ALLOWED = {"200", "204", "404", "409"}

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Doors:
    """Two servers with two processes each: callers who change things, and gateways who ask about keys."""

    callers: list[Caller]
    gateways: list[WebProcess]
    pool: ThreadPoolExecutor

    def collide(self, *steps: Callable[[], Result]) -> list[Result]:
        """Take steps at the same instant; return what came of each."""
        barrier = Barrier(len(steps))

        def run(step: Callable[[], Result]) -> Result:
            barrier.wait(PATIENCE_SECONDS)
            return step()

        return list(self.pool.map(run, steps))

    def count_valid(self, secret: str) -> int:
        return sum(gateway.verify(secret) == "valid" for gateway in self.gateways)


@contextmanager
def two_servers(world: World) -> Iterator[Doors]:
    token = world.gateway_token()
    with world.web() as one, world.web() as other, ThreadPoolExecutor(4) as pool:
        gateways = [WebProcess(port) for port in (one, other) for _connection in range(CONNECTIONS)]
        for gateway in gateways:
            gateway.token = token
        # Each caller is asked from one thread at a time, and a collision has three of them.
        yield Doors([Caller(port, world.token) for port in (one, other, one)], gateways, pool)
        for gateway in gateways:
            gateway.close()


@injects(
    Fault(
        "R3",
        f"approve ∥ revoke × {ROUNDS}",
        "at the same instant, at two servers with two processes each",
        "no active key on a revoked subscription; no 5xx",
        "tests/subscriptions/test_approve.py",
    )
)
def approve_and_revoke(world: World) -> Measured:
    pending = SubscriptionFactory.create_batch(ROUNDS, tenant=world.tenant())
    outcomes: Counter[str] = Counter()
    valid = 0
    with two_servers(world) as doors:
        for subscription in pending:
            approved, revoked = _approve_and_revoke(doors, subscription)
            outcomes[f"{approved.status} and {revoked.status}"] += 1
            if approved.status == HTTPStatus.OK and revoked.status == HTTPStatus.NO_CONTENT:
                valid += doors.count_valid(approved.json["api_key"])
    keys = ApiKey.objects.filter(subscription__in=pending).count()
    live = ApiKey.objects.with_status().filter(subscription__in=pending).exclude(status="revoked").count()
    return Measured(
        f"{_described(outcomes)}; {keys} keys issued, {live} active, valid to a process {valid}",
        held=live == valid == 0 and keys > 0 and set(outcomes) <= {"200 and 204", "409 and 204"},
    )


def _approve_and_revoke(doors: Doors, subscription: Subscription) -> tuple[Call, Call]:
    path = f"/tenants/{subscription.tenant_id}/subscriptions/{subscription.id}"
    here, there, *_others = doors.callers
    approved, revoked = doors.collide(lambda: here.post(f"{path}/approve", {}), lambda: there.send("DELETE", path))
    return approved, revoked


def _described(outcomes: Counter[str]) -> str:
    return ", ".join(f"{outcome} × {count}" for outcome, count in sorted(outcomes.items()))


@injects(
    Fault(
        "R4",
        f"rotate ∥ rotate ∥ revoke ∥ verify × {ROUNDS}",
        "at the same instant, at two servers with two processes each, which have the key in memory",
        f"≤ {MOST_SECRETS} live secrets; no `valid` after the 204; no 5xx",
        "tests/apikeys/test_rotate.py",
    )
)
def rotate_and_revoke(world: World) -> Measured:
    subscription = SubscriptionFactory(tenant=world.tenant(), active=True, rate_limit=None, quota=None)
    outcomes: Counter[str] = Counter()
    late = most = warm = passed = 0
    with two_servers(world) as doors:
        for _round in range(ROUNDS):
            issued = issue_key(subscription, NewKey(), by=SYSTEM)
            key, secret = issued.resource, issued.secret
            warm += sum(doors.count_valid(secret) for _time in range(WARMING_CALLS))
            first, second, revoked, asked = _rotate_and_revoke(doors, key, secret)
            outcomes[f"{first.status} and {second.status} and {revoked.status}"] += 1
            late += sum(code == "valid" for began_at, code in asked if began_at > revoked.ended_at)
            passed += sum(code == "valid" for _began_at, code in asked)
            shown = [call.json["key"] for call in (first, second) if call.status == HTTPStatus.OK]
            late += sum(doors.count_valid(each) for each in (secret, *shown))
            most = max(most, _live_secrets(key))
    errors = sum(count for outcome, count in outcomes.items() if not set(outcome.split(" and ")) <= ALLOWED)
    return Measured(
        f"{_described(outcomes)}; live secrets ≤ {most}; valid after the 204: {late}, before it {passed:,}",
        held=most <= MOST_SECRETS and late == errors == 0 and warm == ROUNDS * WARMING_CALLS * len(doors.gateways),
    )


def _rotate_and_revoke(doors: Doors, key: ApiKey, secret: str) -> tuple[Call, Call, Call, list[tuple[float, str]]]:
    """Return the answers to both rotations and to the revocation, and what was said of the secret meanwhile."""
    path = f"/tenants/{key.tenant_id}/apikeys/{key.id}"
    overlap = {"overlap_seconds": OVERLAP_SECONDS}
    one, two, three = doors.callers
    gateway = doors.gateways[-1]
    first, second, revoked, asked = doors.collide(
        lambda: one.post(f"{path}/rotate", overlap),
        lambda: two.post(f"{path}/rotate", overlap),
        lambda: three.send("DELETE", path),
        lambda: [(monotonic(), gateway.verify(secret)) for _verification in range(VERIFICATIONS)],
    )
    return first, second, revoked, asked


def _live_secrets(key: ApiKey) -> int:
    return KeySecret.objects.filter(Q(valid_until=None) | Q(valid_until__gt=Now()), key=key).count()
