"""Per-process caches of database rows, with a lease that bounds how long they may be stale.

A cache answers only while this process holds its lease. The first load asks ``stoa_cp.caching.listener`` to take the
lease; the listener renews it, and invalidates the rows of an owner when one of them changes. In a process without a
listener the lease is never held, and nothing is cached.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from threading import Event, Lock
from time import monotonic
from typing import Generic, TypeVar

from django.conf import settings
from django.utils.module_loading import import_string

# How long a process trusts its caches without a word from the database. This bounds how long a writer waits for a
# process that is frozen or cut off. See WRITTEN_SECONDS in the listener for the longer time that writers respect.
LEASE_SECONDS = 1.0
# Upper bound on staleness if no notification comes, e.g. a row changed while its trigger was disabled.
MAX_AGE_SECONDS = 10.0
# Per cache. Bounds the memory that callers can fill by sending many keys or paths.
MAX_ENTRIES = 10_000

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(slots=True)
class Lease:
    """Until when (monotonic seconds) this process may answer from its caches, and how many processes hold a lease."""

    ends_at: float = 0.0
    holders: int = 1
    last_load_at: float = float("-inf")
    _has_load: Event = field(default_factory=Event)

    def is_held(self) -> bool:
        return monotonic() < self.ends_at

    def note_load(self) -> float:
        """Tell the listener that a cache loads something; return the moment (monotonic seconds).

        Each load calls this before it reads. It does not wait for the lease, which takes tens of milliseconds with its
        new session: a call without the cache is answered as exactly, and takes one statement.
        """
        self.last_load_at = monotonic()
        self._has_load.set()
        return self.last_load_at

    def is_needed(self) -> bool:
        """Tell whether a cache may hold a valid entry: none outlives the last load by more than MAX_AGE_SECONDS."""
        return monotonic() < self.last_load_at + MAX_AGE_SECONDS

    def wait_until_needed(self, seconds: float) -> bool:
        """Return whether the lease is needed; wait for a load, at most so long, if it is not."""
        # Cleared before the question, so that a load in between is not lost: it sets the event again.
        self._has_load.clear()
        return self.is_needed() or (self._has_load.wait(seconds) and self.is_needed())

    def reset(self) -> None:
        """Forget the lease of the process that this one was forked from, and its event, whose lock may be taken."""
        self.ends_at, self.last_load_at, self._has_load = 0.0, float("-inf"), Event()


lease = Lease()


class ProcessCache(ABC):
    """A cache that the listener invalidates: it must be listed in ``STOA_PROCESS_CACHES``."""

    @abstractmethod
    def invalidate(self, owner: str | None) -> None:
        """Drop the rows of an owner (the id of a tenant, key or gateway, as the triggers name it); None: all rows."""

    def expire_idle(self) -> None:  # noqa: B027 - most caches have nothing to do
        """Do what is due about three times a second while the lease is held."""


@cache
def process_caches() -> tuple[ProcessCache, ...]:
    """Return the caches that ``STOA_PROCESS_CACHES`` lists by dotted path: the kernel imports no app."""
    return tuple(import_string(path) for path in settings.STOA_PROCESS_CACHES)


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Value]):
    value: Value
    owner: str
    ends_at: float


class Cache(ProcessCache, Generic[Key, Value]):
    """Values by key, each with the owner of the rows that it was read from."""

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry[Value]] = {}
        self._invalidations = 0
        self._lock = Lock()

    def get(self, key: Key) -> Value | None:
        # Without the lock: reading a dict is atomic, and every gateway call comes by here.
        entry = self._entries.get(key) if lease.is_held() else None
        return entry.value if entry and monotonic() < entry.ends_at else None

    @contextmanager
    def loading(self, key: Key) -> Iterator[Callable[[Value, str], None]]:
        """Yield ``keep(value, owner)``, which caches a value that was read inside the block.

        A row may change after it was read and before it is kept. Then it is not kept: it may be the old row.
        """
        invalidations = self._invalidations
        # From before the read, because MAX_AGE_SECONDS bounds the age of the row, not of the entry.
        ends_at = lease.note_load() + MAX_AGE_SECONDS

        def keep(value: Value, owner: str) -> None:
            with self._lock:
                if self._invalidations == invalidations and lease.is_held():
                    if len(self._entries) >= MAX_ENTRIES:
                        del self._entries[next(iter(self._entries))]  # the oldest
                    self._entries[key] = _Entry(value, owner, ends_at)

        yield keep

    def invalidate(self, owner: str | None) -> None:
        with self._lock:
            # Counted for every owner: a load does not know its owner before it has read the row.
            self._invalidations += 1
            kept = {} if owner is None else {key: e for key, e in self._entries.items() if e.owner != owner}
            self._entries = kept
