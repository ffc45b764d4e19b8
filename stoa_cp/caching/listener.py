"""Listens for changes, empties this process's caches of them, and renews the lease that lets the caches answer.

Each renewal writes the lease down, then looks at the newest epoch. A change whose author has not seen this lease has
drawn its epoch before: unless this process hears of it now, what the caches hold may be older, and is thrown away.
``stoa_cp.caching.barrier`` is the authors' side.
"""

import os
from threading import Event, Lock, Thread, main_thread
from time import monotonic

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from stoa_cp.caching.barrier import CHANGES, EPOCHS
from stoa_cp.caching.cache import LEASE_SECONDS, lease, process_caches
from stoa_cp.db.ids import new_id

logger = structlog.get_logger(__name__)

RENEWAL_SECONDS = 0.3
CATCH_UP_SECONDS = 0.02
# Longer than the process itself believes in: its clock may run that much slower than the database's.
WRITTEN_SECONDS = 1.5 * LEASE_SECONDS

WRITE_LEASE = """
INSERT INTO stoa_cp_cachelease (holder, confirmed_epoch, valid_until)
VALUES (%(holder)s, %(epoch)s, clock_timestamp() + %(seconds)s * interval '1 s')
ON CONFLICT (holder) DO UPDATE
    SET confirmed_epoch = excluded.confirmed_epoch, valid_until = excluded.valid_until
"""
LOOK = """
SELECT CASE WHEN is_called THEN last_value ELSE 0 END,
    1 + (SELECT count(*) FROM stoa_cp_cachelease WHERE valid_until > clock_timestamp() AND holder <> %(holder)s)
FROM stoa_cp_epoch
"""
END_LEASES = """
DELETE FROM stoa_cp_cachelease WHERE holder = %(holder)s OR valid_until < clock_timestamp() - interval '1 hour'
"""

_starting = Lock()
_listening_process: int | None = None


def ensure_listening() -> None:
    """Let the caches of this process answer from now on, if they may at all. Also after a fork, which ends threads."""
    global _listening_process  # noqa: PLW0603 - one thread per process is the point
    if _listening_process != os.getpid() and settings.STOA_DECISION_CACHE:
        with _starting:
            if _listening_process != os.getpid():
                _listening_process = os.getpid()
                # No daemon: it gives back what the process has borrowed when the main thread ends.
                Thread(target=Listener().run, name="cache-listener", daemon=False).start()


class Listener:
    """One process's session with the database, from which it hears of changes."""

    def __init__(self) -> None:
        self._holder = new_id("hld")
        self._epoch = 0  # the newest that it has heard of, and of every change before
        self._is_over = Event()

    def run(self) -> None:
        """Listen until ``stop``, or the end of the main thread; start again when the database goes away."""
        while self._is_wanted():
            try:
                self._listen()
            except (DatabaseError, InterfaceError) as error:
                logger.warning("invalidation_interrupted", error=str(error))
            self._release()
            self._is_over.wait(RENEWAL_SECONDS)

    def stop(self) -> None:
        self._is_over.set()

    def _is_wanted(self) -> bool:
        return main_thread().is_alive() and not self._is_over.is_set()

    def _listen(self) -> None:
        self._epoch = 0
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANGES}")
            cursor.execute(f"LISTEN {EPOCHS}")
        self._renew()
        while self._is_wanted():
            self._receive_for(RENEWAL_SECONDS)
            for cache in process_caches():
                cache.expire_idle()
            self._renew()

    def _receive_for(self, seconds: float) -> None:
        """Wait for news at most so long, and hear all that has come."""
        with connection.wrap_database_errors:
            # All of them first: psycopg keeps the connection to itself meanwhile, and giving back needs it.
            notifications = list(connection.connection.notifies(timeout=seconds, stop_after=1))
        for notification in notifications:
            self._receive(notification.channel, notification.payload)

    def _receive(self, channel: str, payload: str) -> None:
        if channel == CHANGES:
            _invalidate(payload or None)
        else:
            self._epoch = max(self._epoch, int(payload))

    def _renew(self) -> None:
        begun_at = monotonic()
        self._write_lease()
        with connection.cursor() as cursor:
            cursor.execute(LOOK, {"holder": self._holder})
            newest_epoch, holders = cursor.fetchone()
        if newest_epoch > self._epoch:
            self._catch_up(newest_epoch)
            self._write_lease()
        lease.ends_at, lease.holders = begun_at + LEASE_SECONDS, holders

    def _catch_up(self, epoch: int) -> None:
        """Hear of an epoch, which is on its way as a rule; else throw away all that may be older."""
        give_up_at = monotonic() + CATCH_UP_SECONDS
        while self._epoch < epoch and (left := give_up_at - monotonic()) > 0:
            self._receive_for(left)
        if self._epoch < epoch:
            _invalidate(None)
            self._epoch = epoch

    def _write_lease(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(WRITE_LEASE, {"holder": self._holder, "epoch": self._epoch, "seconds": WRITTEN_SECONDS})

    def _release(self) -> None:
        """Keep nothing any more, and let nobody wait for us if that can be said."""
        lease.ends_at = 0.0
        connection.close()  # the session may be broken
        try:
            _invalidate(None)
            with connection.cursor() as cursor:
                cursor.execute(END_LEASES, {"holder": self._holder})
        except (DatabaseError, InterfaceError):
            logger.warning("cache_lease_not_released")
        finally:
            connection.close()


def _invalidate(owner: str | None) -> None:
    for cache in process_caches():
        cache.invalidate(owner)
