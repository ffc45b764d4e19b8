"""Calls of one tenant that take long, at a real server with four threads: they hold half of them."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http import HTTPStatus

import pytest
from django.db import connection, transaction

from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.realm import PEOPLE, access_claims
from subscriptions.examples import NEW_PLAN
from tenants.models import Tenant
from tests.apikeys.processes import Application, WebProcess, web_processes
from tests.databases import LOCK_EVENT_CHAIN

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.deadline]

CALLERS = 8  # twice as many as the server has threads
PLANS = "/v1/tenants/acme/plans"


@pytest.fixture
def server(realm: Grants) -> Iterator[WebProcess]:
    with web_processes(Application(environment={"STOA_OIDC_ISSUER": realm.issuer})) as (server,):
        yield server


@pytest.fixture
def token(realm: Grants) -> Callable[[str], dict[str, str]]:
    return lambda name: {
        "Authorization": f"Bearer {realm.key.sign(access_claims(PEOPLE[name], realm.issuer))}",
        "Content-Type": "application/json",
    }


def test_slow_calls_of_a_tenant_leave_threads_for_the_others(
    server: WebProcess, token: Callable[[str], dict[str, str]], acme: Tenant, globex: Tenant
) -> None:
    refusals: list[tuple[str, str]] = []

    def make_a_plan(caller: int) -> None:
        body = json.dumps(NEW_PLAN | {"slug": f"plan-{caller}"}).encode()
        with closing(server.twin()) as connection:
            status, headers, content = connection.ask("POST", PLANS, token("alice"), body)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            refusals.append((json.loads(content)["error"]["details"][0]["code"], headers["retry-after"]))

    make_a_plan(CALLERS)  # the chain begins
    with ThreadPoolExecutor(CALLERS) as pool, transaction.atomic(), connection.cursor() as session:
        session.execute(LOCK_EVENT_CHAIN, [acme.id])  # a write waits for it for 2 s, and is then a 503
        slow = [pool.submit(make_a_plan, caller) for caller in range(CALLERS)]
        while not all(call.done() for call in slow):
            begun_at = time.monotonic()
            assert server.ask("GET", "/v1/tenants/globex/plans", token("bob"))[0] == HTTPStatus.OK
            assert time.monotonic() - begun_at < 1

    assert set(refusals) == {("too_many_at_once", "1")}
    assert len(refusals) >= CALLERS - 4  # two wait for the lock, twice at most


def test_a_burst_of_quick_calls_passes(
    server: WebProcess, token: Callable[[str], dict[str, str]], acme: Tenant
) -> None:
    def read(connection: WebProcess) -> list[int]:
        return [connection.ask("GET", PLANS, token("alice"))[0] for _call in range(10)]

    assert read(server) == [HTTPStatus.OK] * 10  # the slow first calls of a process
    with ThreadPoolExecutor(CALLERS) as pool, ExitStack() as stack:
        answers = list(pool.map(read, [stack.enter_context(closing(server.twin())) for _caller in range(CALLERS)]))

    assert answers == [[HTTPStatus.OK] * 10] * CALLERS
