"""Runs calls at the same instant, each in a thread of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from django.db import connection, connections

from stoa_cp.domain.errors import DomainError

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


def outcome_of(service: Callable[[], Result]) -> Callable[[], Result | DomainError]:
    """Return a call that returns a refusal instead of raising it: the loser of a race is refused by design."""

    def call() -> Result | DomainError:
        try:
            return service()
        except DomainError as refusal:
            return refusal

    return call
