"""What a client sees when rows are locked and transactions collide."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import psycopg
import pytest
from django.db import connection, connections

from tenants.models import Tenant
from tests.conftest import Caller
from tests.databases import COUNT_WAITING_SESSIONS, LOCK_EVENT_CHAIN
from tests.factories import ApiFactory

pytestmark = pytest.mark.django_db(transaction=True)

API = "SELECT 1 FROM catalog_api WHERE id = %s FOR UPDATE"


@pytest.fixture
def session() -> Iterator[psycopg.Connection[Any]]:
    """Somebody else's transaction, who is patient with deadlocks: the other side finds them first."""
    parameters = connection.get_connection_params()
    parameters = {
        name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if name in parameters
    }
    with psycopg.connect(**parameters, options="-c deadlock_timeout=60s") as session:
        yield session


def patch_in_a_thread(pool: ThreadPoolExecutor, caller: Caller, path: str) -> Any:
    def patch() -> Any:
        try:
            return caller.patch(path, {"description": "new"})
        finally:
            connections.close_all()

    return pool.submit(patch)


def await_a_waiter(session: psycopg.Connection[Any]) -> None:
    """Come back when the other side waits for a lock."""
    while session.execute(COUNT_WAITING_SESSIONS).fetchone() == (0,):
        # A transaction sees the sessions that there were when it first looked.
        session.execute("SELECT pg_stat_clear_snapshot()")


@pytest.mark.deadline
def test_a_row_that_is_locked_for_long_is_an_answer(
    alice: Caller, acme: Tenant, session: psycopg.Connection[Any]
) -> None:
    api = ApiFactory(tenant=acme)
    session.execute(API, [api.id])
    begun = monotonic()

    response = alice.patch(f"/v1/tenants/acme/apis/{api.id}", {"description": "new"})

    assert response.status_code == 503
    assert response["Retry-After"] == "2"
    assert response.json()["error"]["details"][0]["code"] == "unavailable"
    assert monotonic() - begun < 20  # lock_timeout is 2 s


def test_a_deadlock_is_tried_again(alice: Caller, acme: Tenant, session: psycopg.Connection[Any]) -> None:
    api = ApiFactory(tenant=acme)
    path = f"/v1/tenants/acme/apis/{api.id}"
    alice.patch(path, {"description": "first"})  # the chain begins
    session.execute(LOCK_EVENT_CHAIN, [acme.id])

    with ThreadPoolExecutor(1) as pool:
        change = patch_in_a_thread(pool, alice, path)
        await_a_waiter(session)  # it holds the API and wants the chain
        session.execute(API, [api.id])  # we hold the chain and want the API
        session.commit()
        response = change.result()

    assert response.status_code == 200
    assert response.json()["description"] == "new"
