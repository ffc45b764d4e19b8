"""Requests that are sent again under their Idempotency-Key: I1 and I3."""

from collections import Counter
from http import HTTPStatus

from apikeys.models import ApiKey
from catalog.models import Api
from tenants.models import Tenant
from tests.factories import SubscriptionFactory
from tests.faults.crowd import crowd, post_at_once
from tests.faults.load import Call, Caller
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.rows.collisions import Creation, an_api, outcome
from tests.faults.rows.web import dying_web
from tests.faults.world import World

CROWD, ROUNDS = 20, 30
CRASHES = 6
IN_PROGRESS = "409 idempotency_in_progress"


def a_write(tenant: Tenant, number: int) -> Creation:
    """Return the creation of an API and an approval, whose answer holds a secret, in turn."""
    name = f"retried-{number}"
    if number % 2:
        return Creation(f"/tenants/{tenant.id}/apis", an_api(name), Api.objects.filter(tenant=tenant, name=name))
    subscription = SubscriptionFactory(tenant=tenant)
    path = f"/tenants/{tenant.id}/subscriptions/{subscription.id}/approve"
    return Creation(path, {}, ApiKey.objects.filter(subscription=subscription))


@injects(
    Fault(
        "I1",
        f"one Idempotency-Key × {CROWD} at once, × {ROUNDS}",
        "the creation of an API and an approval in turn, at two servers with two processes each",
        "rows 1; every success identical, the others `idempotency_in_progress`",
        "tests/contract/test_idempotency.py",
    )
)
def send_at_once(world: World) -> Measured:
    tenant = world.tenant()
    outcomes: Counter[str] = Counter()
    exact = 0
    with crowd(world, CROWD) as callers:
        for number in range(ROUNDS):
            write = a_write(tenant, number)
            calls = post_at_once(callers, write.path, write.body, Idempotency_Key=f"at-once-{tenant.id}-{number}")
            outcomes.update(map(outcome, calls))
            exact += len(_successes(calls)) == 1 and write.rows.count() == 1
    return Measured(
        f"{dict(sorted(outcomes.items()))}; one answer and one row in {exact} rounds of {ROUNDS}",
        held=exact == ROUNDS and set(outcomes) <= {"200", "201", IN_PROGRESS} and outcomes[IN_PROGRESS] > 0,
    )


def _successes(calls: list[Call]) -> set[bytes]:
    return {call.body for call in calls if call.status in (HTTPStatus.OK, HTTPStatus.CREATED)}


@injects(
    Fault(
        "I3",
        f"web process killed after the commit, before the answer × {CRASHES}; the client tries again",
        "fail-point in the web process; the creation of an API and an approval in turn",
        "the stored answer, twice the same; rows 1",
        "tests/contract/test_idempotency.py",
    )
)
def crash_before_the_answer(world: World) -> Measured:
    tenant = world.tenant()
    heard = stored = rows = 0
    with world.web() as port:
        caller = Caller(port, world.token)
        for number in range(CRASHES):
            write, key = a_write(tenant, number), f"crash-{tenant.id}-{number}"
            with dying_web(world, "before the answer") as dying:
                lost = Caller(dying, world.token).post(write.path, write.body, Idempotency_Key=key)
            heard += lost.status != 0
            before = write.rows.count()
            retries = [caller.post(write.path, write.body, Idempotency_Key=key) for _time in range(2)]
            stored += len(_successes(retries)) == 1 and {call.status for call in retries} <= {200, 201}
            rows += before == write.rows.count() == 1
    return Measured(
        f"answers that arrived in spite of the crash {heard}; stored answers {stored} of {CRASHES}; "
        f"one row after the crash and after the retries {rows} of {CRASHES}",
        held=heard == 0 and stored == rows == CRASHES,
    )
