"""Lets this process answer from its caches, as a web process does, and receives what the triggers announce."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from unittest.mock import patch

import pytest
from django.db import connection

from stoa_cp.caching import listener as caching_listener
from stoa_cp.caching.cache import Lease, ProcessCache, lease
from stoa_cp.caching.listener import Listener
from tests.sessions import end_other_sessions
from tests.waiting import wait_until

PATIENCE_SECONDS = 10


@contextmanager
def listener() -> Iterator[Listener]:
    """Hold a lease for the length of the block, whether or not anything is cached."""
    with patch.object(Lease, "is_needed", lambda _lease: True), listener_on_demand() as listener:
        wait_until(lease.is_held)
        yield listener


@contextmanager
def listener_on_demand() -> Iterator[Listener]:
    """Listen in another thread for the length of the block; hold a lease while something is cached.

    Its lease is a long one: a loaded machine may let the thread wait for longer than a second.
    """
    listener = Listener()
    thread = Thread(target=listener.run, name="listener of a test")
    with patch.multiple(caching_listener, LEASE_SECONDS=60, WRITTEN_SECONDS=90):
        thread.start()
        try:
            yield listener
        finally:
            listener.stop()
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()


def announced(change: Callable[[], object]) -> set[str]:
    """Return whose rows a change says have changed."""
    with connection.cursor() as cursor:
        cursor.execute("LISTEN stoa_changes")
        change()
        cursor.execute("SELECT 1")
        received = {notification.payload for notification in connection.connection.notifies(timeout=0.05)}
        cursor.execute("UNLISTEN *")
    return received


def list_cache(cache: ProcessCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let listeners invalidate one more cache than those that the settings list, until the test ends."""
    listed = caching_listener.process_caches()
    monkeypatch.setattr(caching_listener, "process_caches", lambda: (*listed, cache))


def cut_listeners() -> int:
    """End the sessions that listen for changes; return how many there were."""
    return end_other_sessions("%stoa_cp_cachelease%")
