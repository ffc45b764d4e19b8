"""What a process keeps of rows that others may change, never longer than it may.

A cache answers only while this process holds its lease, which ``stoa_cp.caching.listener`` renews, and is emptied of an
owner's rows when one of them changes. Where nobody renews the lease, nothing is ever kept.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

LEASE_SECONDS = 1.0
# Bounds what an invalidation that nobody sends would cost: of a row that changed with its triggers off.
MAX_AGE_SECONDS = 10.0
MAX_ENTRIES = 10_000

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(slots=True)
class Lease:
    """Until when (monotonic seconds) this process may answer from what it keeps, and how many processes may."""

    ends_at: float = 0.0
    holders: int = 1

    def is_held(self) -> bool:
        return monotonic() < self.ends_at


lease = Lease()
# Each cache enters itself here as it is made: one that somebody forgot to name would be stale.
# Empties it of an owner's rows; of everything, without one.
invalidation_callbacks: list[Callable[[str | None], None]] = []
# What caches do about three times a second.
maintenance_callbacks: list[Callable[[], None]] = []


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Value]):
    value: Value
    owner: str
    ends_at: float


class Cache(Generic[Key, Value]):
    """Values by key, each with the owner of the rows that it was read from."""

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry[Value]] = {}
        self._invalidations = 0
        self._lock = Lock()
        invalidation_callbacks.append(self.invalidate)

    def get(self, key: Key) -> Value | None:
        entry = self._entries.get(key) if lease.is_held() else None
        return entry.value if entry and monotonic() < entry.ends_at else None

    @contextmanager
    def loading(self, key: Key) -> Iterator[Callable[[Value, str], None]]:
        """Yield what keeps a value and its owner that are read inside the block.

        A row may change after it was read and before it is kept: then it is not.
        """
        invalidations = self._invalidations
        ends_at = monotonic() + MAX_AGE_SECONDS

        def keep(value: Value, owner: str) -> None:
            with self._lock:
                if self._invalidations == invalidations and lease.is_held():
                    if len(self._entries) >= MAX_ENTRIES:
                        del self._entries[next(iter(self._entries))]  # the oldest
                    self._entries[key] = _Entry(value, owner, ends_at)

        yield keep

    def invalidate(self, owner: str | None) -> None:
        with self._lock:
            self._invalidations += 1
            kept = {} if owner is None else {key: e for key, e in self._entries.items() if e.owner != owner}
            self._entries = kept
