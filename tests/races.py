"""Runs calls at the same instant, each in a thread with a database connection of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from django.db import connection, connections

from stoa_cp.domain.errors import DomainError

Result = TypeVar("Result")

PATIENCE_SECONDS = 20  # far beyond the database's own lock and statement timeouts


def at_once(*calls: Callable[[], Result]) -> list[Result]:
    """Return what each call returned, in their order. Raises what the first failing one raised."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], Result]) -> Result:
        try:
            connection.ensure_connection()  # before the start, or the slower handshake would decide the race
            barrier.wait(timeout=PATIENCE_SECONDS)
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=len(calls)) as pool:
        futures = [pool.submit(run, call) for call in calls]
        return [future.result(timeout=PATIENCE_SECONDS) for future in futures]


def outcome_of(service: Callable[[], Result]) -> Callable[[], Result | DomainError]:
    """Return a call that hands a refusal back instead of raising it: who loses a race is refused, by design."""

    def call() -> Result | DomainError:
        try:
            return service()
        except DomainError as refusal:
            return refusal

    return call
