"""Rows that somebody else holds: D5 and D6."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import psycopg
from django.db import connection

from apikeys.decisions.meters import open_meters
from apikeys.models import ApiKey, Meter
from apikeys.services.keys import NewKey, issue_key
from catalog.models import Api
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.models import EventChain
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests.databases import COUNT_WAITING_SESSIONS, LOCK_EVENT_CHAIN
from tests.factories import ApiFactory, SubscriptionFactory
from tests.faults.load import Call, Caller
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.rows.database import is_our_503
from tests.faults.world import World
from tests.waiting import comes_true, wait_until
from tests.webhooks.factories import WebhookFactory
from webhooks.models import Webhook

ANSWER_SECONDS = 3.0
DONE = (HTTPStatus.OK, HTTPStatus.CREATED)
COLLISIONS = 5  # of each kind
COUNTED_SECONDS = 20  # a session at rest reports its deadlocks within 10 s

Session = psycopg.Connection[Any]
Model = type[Tenant | Api | Subscription | ApiKey | Webhook | Meter | EventChain]
Change = Callable[[Caller], Call]


@dataclass(frozen=True, slots=True)
class Contested:
    """A row, and a call that wants it."""

    model: Model
    key: str
    change: Change

    @property
    def name(self) -> str:
        return self.model._meta.model_name or ""

    def lock(self, session: Session) -> None:
        column = self.model._meta.pk.column
        session.execute(f"SELECT 1 FROM {self.model._meta.db_table} WHERE {column} = %s FOR UPDATE", [self.key])  # noqa: S608 - our names


def contested(tenant: Tenant) -> list[Contested]:
    """Return rows of a tenant that are changed before its event chain is locked."""
    inside = f"/tenants/{tenant.id}"
    api, webhook = ApiFactory(tenant=tenant), WebhookFactory(tenant=tenant)
    pending, active = SubscriptionFactory(tenant=tenant), SubscriptionFactory(tenant=tenant, active=True)
    key = issue_key(active, NewKey(), by=SYSTEM).resource
    return [
        Contested(Tenant, tenant.id, _patch(inside, {"admin_email": "new@example.com"})),
        Contested(Api, api.id, _patch(f"{inside}/apis/{api.id}", {"description": "new"})),
        Contested(Subscription, pending.id, _post(f"{inside}/subscriptions/{pending.id}/approve", {})),
        Contested(ApiKey, key.id, _post(f"{inside}/apikeys/{key.id}/rotate", {"overlap_seconds": 3600})),
        Contested(Webhook, webhook.id, _patch(f"{inside}/webhooks/{webhook.id}", {"description": "new"})),
    ]


def _patch(path: str, body: dict[str, Any]) -> Change:
    return lambda caller: caller.patch(path, body)


def _post(path: str, body: dict[str, Any]) -> Change:
    return lambda caller: caller.post(path, body)


@contextmanager
def another_session(world: World) -> Iterator[Session]:
    """Somebody else's transactions, who is patient with deadlocks: the other side finds them first."""
    with psycopg.connect(world.server.url, options="-c deadlock_timeout=60s") as session:
        yield session


@injects(
    Fault(
        "D5",
        "a row locked for long",
        "second session, which holds a tenant, an API, a subscription, a key, a webhook, an event chain and a meter in "
        "turn, until the call that wants it is answered",
        f"answer ≤ {ANSWER_SECONDS:.0f} s, our 503; others' calls pass meanwhile, and the same one afterwards",
        "tests/contract/test_database.py",
    )
)
def lock_for_long(world: World) -> Measured:
    tenant, bystander = world.tenant(), world.tenant()
    wanted = [*contested(tenant), *_counted(tenant)]
    with world.web() as port, another_session(world) as session:
        caller, other = Caller(port, world.token), Caller(port, world.token)
        for each in (caller, other):
            each.create_api(bystander.id)
        seen = {row.name: _ask_while_locked(session, row, caller, other, bystander) for row in wanted}
    slowest = max(refused.seconds for refused, _others in seen.values())
    unexpected = [name for name, (refused, _others) in seen.items() if not is_our_503(refused)]
    held_up = [name for name, (_refused, others) in seen.items() if not all(call.status in DONE for call in others)]
    return Measured(
        f"{len(seen)} rows, slowest answer {slowest:.1f} s; answered otherwise {unexpected or 0}, did not pass "
        f"{held_up or 0}",
        held=slowest <= ANSWER_SECONDS and not unexpected and not held_up,
    )


def _ask_while_locked(
    session: Session, row: Contested, caller: Caller, other: Caller, bystander: Tenant
) -> tuple[Call, tuple[Call, Call]]:
    """Return the answer to the call that wants the row; another's meanwhile, and that to the same call afterwards."""
    row.lock(session)
    with ThreadPoolExecutor(1) as pool:
        refused = pool.submit(row.change, caller)
        beside = other.create_api(bystander.id)
        refused.result()
    session.rollback()
    return refused.result(), (beside, row.change(caller))


def _counted(tenant: Tenant) -> list[Contested]:
    """Return the rows that many calls share: the event chain of a tenant, and the meter of a subscription."""
    active = SubscriptionFactory(tenant=tenant, active=True)
    secret = issue_key(active, NewKey(), by=SYSTEM).secret
    open_meters(tenant.id, [active.id])
    return [
        Contested(EventChain, tenant.id, lambda caller: caller.create_api(tenant.id)),
        Contested(Meter, active.id, _post("/gateway/keys/verify", {"key": secret})),
    ]


@injects(
    Fault(
        "D6",
        "deadlock",
        "opposite order: second session, which holds the event chain and wants what the call has locked; "
        f"{COLLISIONS} times each a tenant, an API, a subscription, a key and a webhook; and once each a second time, "
        "during the retry",
        "one retry, no 500: success after one deadlock, our 503 after two",
        "tests/contract/test_database.py",
    )
)
def deadlock(world: World) -> Measured:
    before = _count_deadlocks()
    once: list[Call] = []
    twice: list[Call] = []
    with world.web() as port, another_session(world) as session:
        caller = Caller(port, world.token)
        for times, calls, rounds in ((1, once, COLLISIONS), (2, twice, 1)):
            for _round in range(rounds):
                tenant = world.tenant()
                caller.create_api(tenant.id)  # its chain begins
                calls += [_collide(session, caller, row, tenant, times) for row in contested(tenant)]
        expected = len(once) + 2 * len(twice)
        comes_true(lambda: _count_deadlocks() - before >= expected, seconds=COUNTED_SECONDS)
    found = _count_deadlocks() - before
    good, refused = sum(call.status == HTTPStatus.OK for call in once), sum(map(is_our_503, twice))
    return Measured(
        f"deadlocks {found}; success after one {good} of {len(once)}, our 503 after two {refused} of {len(twice)}; "
        f"slowest {max(call.seconds for call in once + twice):.1f} s",
        held=found == expected and good == len(once) and refused == len(twice),
    )


def _collide(session: Session, caller: Caller, row: Contested, tenant: Tenant, times: int) -> Call:
    """Let a call and another transaction wait for each other, the second time as soon as the call tries again."""
    call: Future[Call] | None = None
    with ThreadPoolExecutor(1) as pool:
        for _time in range(times):
            session.execute(LOCK_EVENT_CHAIN, [tenant.id])
            call = call or pool.submit(row.change, caller)
            wait_until(partial(_is_waited_for, session), "the call waits for the chain")
            row.lock(session)
            session.commit()
        assert call
        return call.result()


def _is_waited_for(session: Session) -> bool:
    session.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees the sessions that it first saw
    return session.execute(COUNT_WAITING_SESSIONS).fetchone() != (0,)


def _count_deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        count: int = cursor.fetchone()[0]
    return count
