"""A second session of the database, which has something in hand."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from django.db import connection, transaction


@contextmanager
def holding(lock: Callable[[], object]) -> Iterator[None]:
    """Hold what ``lock`` locks in another session for as long as the block runs."""
    is_held, may_go = Event(), Event()

    def hold() -> None:
        with transaction.atomic():
            lock()
            is_held.set()
            may_go.wait(10)
        connection.close()

    thread = Thread(target=hold)
    thread.start()
    assert is_held.wait(5)
    try:
        yield
    finally:
        may_go.set()
        thread.join()
