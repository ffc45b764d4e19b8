"""Decisions that this process may repeat: the facts behind each, and a block of calls that are counted already.

::

    asked ──► warm ──block used up──► asked again, for a larger block
                │
                └── changed, idle, too old ──► forgotten: what is left of the block goes back
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from threading import Condition
from time import monotonic

from django.db import DatabaseError, InterfaceError

from apikeys.decisions.statement import Facts
from apikeys.decisions.token_leases import TokenLease, return_tokens
from apikeys.decisions.token_pool import TokenPool, open_token_pool
from stoa_cp.caching.cache import MAX_AGE_SECONDS, MAX_ENTRIES, ProcessCache, lease

# What a process that is killed takes with it, of each busy key.
MAX_BLOCK_CALLS = 256
# From a call of its own to the largest block in two steps: who calls once borrows nothing.
BLOCK_GROWTH_FACTOR = 16
# Of what is left before an edge a block takes one part in so many, for each process.
BLOCKS_PER_PROCESS = 4
IDLE_SECONDS = 0.3
# How long an invalidation waits for those who are asking: what they are granted must be given back as well. They take a
# few milliseconds, or as long as somebody else locks a meter.
LOAD_WAIT_SECONDS = 0.5

# What tells one question from another: the key's digests, and the tenant, the path and the id of an API.
CacheKey = tuple[tuple[bytes, ...], str | None, str | None, str | None]


@dataclass(slots=True)
class CachedDecision:
    """A decision that lets calls pass until ``ends_at`` (monotonic seconds); ``made`` have passed here.

    As many as are left in the purse of this name; without limit, where no meter counts them.
    """

    facts: Facts
    pool: str | None
    made: int
    ends_at: float
    used_at: float
    is_asked_for: bool = False

    @classmethod
    def of(cls, topic: CacheKey, facts: Facts, cost: int, asked_at: float) -> "CachedDecision":
        """Return what passing facts let pass; ``asked_at`` (monotonic seconds) is before they were read."""
        seconds = min(MAX_AGE_SECONDS, (facts.holds_until - facts.asked_at).total_seconds())
        pool = _pool_name(topic, facts) if facts.subjects else None
        return cls(facts, pool, cost, asked_at + seconds, asked_at)

    def is_of(self, owner: str | None) -> bool:
        return owner is None or owner in (self.facts.tenant_id, self.facts.key_id)

    def is_over(self, now: float) -> bool:
        return now >= self.ends_at or (self.pool is not None and now - self.used_at >= IDLE_SECONDS)


def _pool_name(topic: CacheKey, facts: Facts) -> str:
    """Return the same name for the same question in the same hour, whichever process asks. It tells nobody the key."""
    return f"stoa-calls:{facts.hour:%Y%m%d%H}:{sha256(repr(topic).encode()).hexdigest()[:32]}"


@dataclass(slots=True)
class PendingLookup:
    """A question on its way to the database: how many calls to ask for, and the facts that let them pass."""

    tokens_wanted: int
    token_share: int
    is_first: bool
    invalidations: int
    facts: Facts | None = None


class DecisionCache(ProcessCache):
    """All warm decisions of this process, and what it owes the meters."""

    def __init__(self, pool: TokenPool) -> None:
        self.pool = pool
        self._decisions: dict[CacheKey, CachedDecision] = {}
        self._tokens_to_return: list[TokenLease] = []
        self._invalidations = 0
        # How many inquiries are on their way, by the number of invalidations before them.
        self._pending: Counter[int] = Counter()
        self._changed = Condition()

    def get(self, topic: CacheKey, cost: int) -> tuple[Facts, int] | None:
        """Return the facts that let ``cost`` more calls pass, and how many were made since they were read.

        None if the database must be asked.
        """
        if not lease.is_held():
            return None
        cached, now = self._decisions.get(topic), monotonic()
        if cached is None or now >= cached.ends_at or (cached.pool and not self.pool.take(cached.pool, cost)):
            return None
        with self._changed:
            cached.made += cost
            cached.used_at = now
            return cached.facts, cached.made

    @contextmanager
    def loading(self, topic: CacheKey, cost: int) -> Iterator[PendingLookup]:
        """Keep the facts that are found inside the block, unless somebody changes them meanwhile."""
        asked_at = lease.note_load()
        with self._changed:
            lookup = self._begin(topic, cost)
        try:
            yield lookup
        finally:
            with self._changed:
                self._end(topic, lookup)
                if lookup.facts is not None:
                    self._keep(topic, lookup, CachedDecision.of(topic, lookup.facts, cost, asked_at))

    def _begin(self, topic: CacheKey, cost: int) -> PendingLookup:
        """Ask for a block if the last one was used up; one thread does, the others for their own calls only."""
        cached = self._decisions.get(topic)
        lookup = PendingLookup(cost, BLOCKS_PER_PROCESS * lease.holders, cached is None, self._invalidations)
        if cached and not cached.is_asked_for and lease.is_held() and self.pool.is_open():
            cached.is_asked_for = lookup.is_first = True
            lookup.tokens_wanted = max(cost, min(BLOCK_GROWTH_FACTOR * cached.facts.granted, MAX_BLOCK_CALLS))
        self._pending[lookup.invalidations] += 1
        return lookup

    def _end(self, topic: CacheKey, lookup: PendingLookup) -> None:
        self._pending[lookup.invalidations] -= 1
        self._pending = +self._pending  # without those of which none is left
        self._changed.notify_all()
        if lookup.is_first and topic in self._decisions:
            self._decisions[topic].is_asked_for = False

    def _keep(self, topic: CacheKey, lookup: PendingLookup, cached: CachedDecision) -> None:
        """Put what was lent into the purse, where others may be taking from it; or owe it."""
        lent = cached.facts.granted - cached.made if cached.pool else 0
        if not lookup.is_first or lookup.invalidations != self._invalidations or not lease.is_held():
            self._queue_return(cached.facts, lent)
            return
        last = self._decisions.get(topic)
        if last and last.pool != cached.pool:
            self._drop(topic)
        elif not last and len(self._decisions) >= MAX_ENTRIES:
            self._drop(next(iter(self._decisions)))  # the oldest
        self._decisions[topic] = cached
        if cached.pool and lent:
            self._queue_return(cached.facts, self.pool.add(cached.pool, lent))

    def _drop(self, topic: CacheKey) -> None:
        cached = self._decisions.pop(topic)
        if cached.pool:
            self._queue_return(cached.facts, self.pool.drain(cached.pool))

    def _queue_return(self, facts: Facts, calls: int) -> None:
        if calls:
            self._tokens_to_return.append(TokenLease(facts.subjects, calls, facts.hour, facts.month, facts.asked_at))

    def invalidate(self, owner: str | None) -> None:
        """Forget what was found of an owner's rows, or of all, and give back what was borrowed."""
        with self._changed:
            self._invalidations += 1
            for topic in [topic for topic, cached in self._decisions.items() if cached.is_of(owner)]:
                self._drop(topic)
            self._changed.wait_for(self._is_heard, LOAD_WAIT_SECONDS)
        self._return_tokens()

    def _is_heard(self) -> bool:
        """Tell whether all inquiries from before the last invalidation have come back."""
        return all(number == self._invalidations for number in self._pending)

    def expire_idle(self) -> None:
        """Forget what nobody asks for any more."""
        with self._changed:
            now = monotonic()
            for topic in [topic for topic, cached in self._decisions.items() if cached.is_over(now)]:
                self._drop(topic)
        self._return_tokens()

    def _return_tokens(self) -> None:
        """Pay the meters. What could not be paid stays owed."""
        with self._changed:
            owed, self._tokens_to_return = self._tokens_to_return, []
        if not owed:
            return
        try:
            return_tokens(owed)
        except (DatabaseError, InterfaceError):
            with self._changed:
                self._tokens_to_return += owed
            raise


decision_cache = DecisionCache(open_token_pool())  # listed in the settings
