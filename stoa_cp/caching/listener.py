"""Listens for changes, invalidates this process's caches, and renews the lease that lets the caches answer.

The life of a lease:

1. Wait for the first load. Until then this process has no session with the database, and no writer waits for it.
2. LISTEN; read the newest epoch; then invalidate the caches. A load that began before LISTEN may have read a row whose
   change was notified before we listened. After the invalidation its value is not kept.
3. Write the lease, then read the newest epoch again. If a writer did not see our lease, it drew its epoch before we
   wrote the lease. Then our caches may miss its change, so we clear them unless its notification is already here.
4. Receive notifications, and repeat step 3 every RENEWAL_SECONDS.
5. End the lease when the caches have loaded nothing for MAX_AGE_SECONDS: by then every entry has expired.

``stoa_cp.caching.barrier`` is the writers' side.
"""

import os
from threading import Event, Thread, main_thread
from time import monotonic

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from stoa_cp.caching.barrier import CHANGES, EPOCHS
from stoa_cp.caching.cache import LEASE_SECONDS, lease, process_caches
from stoa_cp.db.ids import new_id

logger = structlog.get_logger(__name__)

# Three renewals in a lease: one or two may be late before the caches stop answering. It is also how long a process that
# ends waits for this thread, and how often idle entries are dropped.
RENEWAL_SECONDS = 0.3
# How long a renewal waits for a notification that is on its way. A notification takes milliseconds; clearing the caches
# is always safe, and only costs a statement per entry.
CATCH_UP_SECONDS = 0.02
# The lease in the database is longer than the one that this process believes in: the process stops answering first,
# even if its clock runs a third slower than the database's. It is also the longest that a writer waits for a process
# that is frozen or cut off.
WRITTEN_SECONDS = 1.5 * LEASE_SECONDS

WRITE_LEASE = """
INSERT INTO stoa_cp_cachelease (holder, confirmed_epoch, valid_until)
VALUES (%(holder)s, %(epoch)s, clock_timestamp() + %(seconds)s * interval '1 s')
ON CONFLICT (holder) DO UPDATE
    SET confirmed_epoch = excluded.confirmed_epoch, valid_until = excluded.valid_until
"""
# The holders are the others and this one: counted by its row, this process would be none when the row has run out, and
# a share of zero processes is a division by zero.
READ_EPOCH = """
SELECT CASE WHEN is_called THEN last_value ELSE 0 END,
    1 + (SELECT count(*) FROM stoa_cp_cachelease WHERE valid_until > clock_timestamp() AND holder <> %(holder)s)
FROM stoa_cp_epoch
"""
# A killed process leaves its row behind, which has run out and only takes space: any other process deletes it later.
END_LEASES = """
DELETE FROM stoa_cp_cachelease WHERE holder = %(holder)s OR valid_until < clock_timestamp() - interval '1 hour'
"""


def start_listening() -> None:
    """Start this process's listener, unless ``STOA_DECISION_CACHE`` is off; call it once, when the process starts.

    Granian imports the application in each worker, gunicorn with ``--preload`` before it forks them. A fork has no
    threads, so each child starts a listener of its own.
    """
    if settings.STOA_DECISION_CACHE:
        _start_thread()
        os.register_at_fork(after_in_child=_start_after_fork)


def _start_thread() -> None:
    # No daemon: when the main thread ends, it still returns the tokens that this process has leased.
    Thread(target=Listener().run, name="cache-listener", daemon=False).start()


def _start_after_fork() -> None:
    # The child has a copy of the lease, and nothing that renews it or invalidates what it covers.
    lease.reset()
    _start_thread()


class Listener:
    """Holds the lease of one process while the process needs it, with a session of its own in the database."""

    def __init__(self) -> None:
        self._holder = new_id("hld")
        self._epoch = 0  # every change up to this epoch has been received
        self._is_over = Event()

    def run(self) -> None:
        """Hold a lease whenever one is needed, until ``stop`` or the end of the main thread."""
        is_settled = True
        while self._is_running():
            # After an interruption it does not wait for a load: tokens that could not be returned are still owed.
            if not is_settled or lease.wait_until_needed(RENEWAL_SECONDS):
                is_settled = self._hold_lease()

    def stop(self) -> None:
        self._is_over.set()

    def _is_running(self) -> bool:
        return main_thread().is_alive() and not self._is_over.is_set()

    def _hold_lease(self) -> bool:
        """Hold a lease while it is needed; return False if the database interrupted that."""
        is_interrupted = False
        try:
            self._listen()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("invalidation_interrupted", error=str(error))
            is_interrupted = True
        is_released = self._release()
        if is_interrupted or not is_released:
            self._is_over.wait(RENEWAL_SECONDS)  # a database that is away would else be tried in a busy loop
        return is_released and not is_interrupted

    def _listen(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANGES}")
            cursor.execute(f"LISTEN {EPOCHS}")
        # In this order: see step 2 above. The caches are empty then, so changes up to this epoch need no confirmation.
        self._epoch, _holders = self._read_epoch()
        _invalidate(None)
        self._renew()
        while self._is_running() and lease.is_needed():
            self._receive_for(RENEWAL_SECONDS)
            for cache in process_caches():
                cache.expire_idle()
            self._renew()

    def _receive_for(self, seconds: float) -> None:
        """Wait for a notification at most so long, and receive all that have come."""
        with connection.wrap_database_errors:
            # All of them first: psycopg locks the connection while the generator runs, and returning tokens uses it.
            notifications = list(connection.connection.notifies(timeout=seconds, stop_after=1))
        for notification in notifications:
            self._receive(notification.channel, notification.payload)

    def _receive(self, channel: str, payload: str) -> None:
        if channel == CHANGES:
            _invalidate(payload or None)
        else:
            # Epochs of concurrent writers may arrive out of order.
            self._epoch = max(self._epoch, int(payload))

    def _renew(self) -> None:
        begun_at = monotonic()
        self._write_lease()
        newest_epoch, holders = self._read_epoch()
        if newest_epoch > self._epoch:
            self._catch_up(newest_epoch)
            self._write_lease()  # writers wait for this confirmation
        # Counted from before the first write, so that it ends before the lease in the database does.
        lease.ends_at, lease.holders = begun_at + LEASE_SECONDS, holders

    def _read_epoch(self) -> tuple[int, int]:
        """Return the newest epoch, and the number of processes that hold a lease, this one included."""
        with connection.cursor() as cursor:
            cursor.execute(READ_EPOCH, {"holder": self._holder})
            newest_epoch, holders = cursor.fetchone()
        return newest_epoch, holders

    def _catch_up(self, epoch: int) -> None:
        """Wait for the notification of an epoch; clear the caches if it does not come in time."""
        give_up_at = monotonic() + CATCH_UP_SECONDS
        while self._epoch < epoch and (left := give_up_at - monotonic()) > 0:
            self._receive_for(left)
        if self._epoch < epoch:
            _invalidate(None)
            self._epoch = epoch

    def _write_lease(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(WRITE_LEASE, {"holder": self._holder, "epoch": self._epoch, "seconds": WRITTEN_SECONDS})

    def _release(self) -> bool:
        """Stop answering from the caches, return leased tokens and delete the lease; False if the database is away."""
        lease.ends_at = 0.0
        connection.close()  # the session may be broken
        try:
            _invalidate(None)
            with connection.cursor() as cursor:
                cursor.execute(END_LEASES, {"holder": self._holder})
        except (DatabaseError, InterfaceError):
            # Writers wait until the lease runs out.
            logger.warning("cache_lease_not_released")
            return False
        finally:
            connection.close()
        return True


def _invalidate(owner: str | None) -> None:
    for cache in process_caches():
        cache.invalidate(owner)
