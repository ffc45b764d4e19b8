"""Lets this process answer from its caches, as a web process does."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from django.db import connection

from stoa_cp.caching import lease
from stoa_cp.invalidation import Listener
from tests.waiting import wait_until

PATIENCE_SECONDS = 10


@contextmanager
def listener() -> Iterator[Listener]:
    """Listen for changes in another thread for the length of the block."""
    listener = Listener()
    thread = Thread(target=listener.run, name="listener of a test")
    thread.start()
    try:
        wait_until(lease.is_held)
        yield listener
    finally:
        listener.stop()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


def cut_listeners() -> int:
    """End the sessions that listen for changes; return how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE '%stoa_cp_cachelease%' AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])
