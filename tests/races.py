"""Runs calls at the same instant, each in a thread of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from django.db import connection, connections, transaction
from django.db.models import Model

from stoa_cp.domain.errors import DomainError
from tests.databases import COUNT_WAITING_SESSIONS
from tests.waiting import wait_until

Result = TypeVar("Result")

PATIENCE_SECONDS = 20  # for the start: far longer than 64 handshakes with the database take


def at_once(*calls: Callable[[], Result], connects: bool = True) -> list[Result]:
    """Return what each call returned, in their order. Raises what the first failing one raised.

    With ``connects``, each thread opens its database connection before the start, or the slower handshake would decide
    the race. Without, threads open one if their call needs it: for calls of another process, and for those whose test
    is that most of them need none.
    """
    barrier = Barrier(len(calls))

    def run(call: Callable[[], Result]) -> Result:
        try:
            if connects:
                connection.ensure_connection()
            barrier.wait(timeout=PATIENCE_SECONDS)
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=len(calls)) as pool:
        return list(pool.map(run, calls))


def overtaken(call: Callable[[], Result], row: Model, **changes: object) -> Result:
    """Return what ``call`` returned, where ``row`` was changed after the call had begun, and before it got the lock."""

    def run() -> Result:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=1) as pool:
        with transaction.atomic():
            rows = type(row)._default_manager.filter(pk=row.pk)
            rows.select_for_update().get()
            waiting = pool.submit(run)
            wait_until(_is_a_session_waiting, "the call waits for the lock")
            rows.update(**changes)
        return waiting.result()


def _is_a_session_waiting() -> bool:
    with connection.cursor() as cursor:
        # A transaction sees the sessions that there were when it first looked.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(COUNT_WAITING_SESSIONS)
        return bool(cursor.fetchone() != (0,))


def outcome_of(service: Callable[[], Result]) -> Callable[[], Result | DomainError]:
    """Return a call that returns a refusal instead of raising it: the loser of a race is refused by design."""

    def call() -> Result | DomainError:
        try:
            return service()
        except DomainError as refusal:
            return refusal

    return call
