"""Caches allowed decisions in this process, each with a block of tokens: calls that PostgreSQL has already counted.

::

    load one call ──next call──► load a block ──block used up──► load a larger block
                                      │
                                      └── changed, idle, too old ──► dropped; unused tokens are returned

Only allowed calls are cached. A call that finds no token here goes to PostgreSQL (``apikeys.decisions.decide``).
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from threading import Condition
from time import monotonic

from django.db import DatabaseError, InterfaceError

from apikeys.decisions.call import Call
from apikeys.decisions.monitoring import count_tokens
from apikeys.decisions.statement import Facts
from apikeys.decisions.token_leases import TokenLease, return_tokens
from apikeys.decisions.token_pool import TokenPool, open_token_pool
from stoa_cp.caching.cache import MAX_AGE_SECONDS, MAX_ENTRIES, ProcessCache, lease

# The largest block, and so the most tokens of a busy key that are lost if this process is killed (SIGKILL). Measured
# with six kills under load: 617 of 100,000 calls were counted and not made, none was made and not counted.
MAX_BLOCK_CALLS = 256
# 1, 16, 256: the first call leases nothing, so a key that is used once has nothing to return; a busy key reaches the
# largest block in two more statements.
BLOCK_GROWTH_FACTOR = 16
# A block takes at most 1/(4 × processes) of the calls that are left before the next limit or announcement. So blocks
# shrink to single calls near it, and all processes together lease about a quarter of what is left.
BLOCKS_PER_PROCESS = 4
# Unused tokens count against the limit, and are shown as used. So they are returned within a second: after 0.3 s, and
# the 0.3 s at most until ``expire_idle`` runs.
IDLE_SECONDS = 0.3
# How long an invalidation waits for statements in progress, because their tokens must be returned as well. A statement
# takes milliseconds, or longer while another transaction locks the meter. 0.05 s was too short on a busy machine: of
# 2,000 calls within a limit 1,998 passed.
LOAD_WAIT_SECONDS = 0.5

# What the decision depends on: the key's digests, the tenant's name, the API's path and the API's id of the call. The
# path of the API, not of the call: all calls below one API share an entry.
CacheKey = tuple[tuple[bytes, ...], str | None, str | None, str | None]


@dataclass(slots=True)
class CachedDecision:
    """An allowed decision; valid until ``ends_at`` (monotonic seconds). ``calls`` have passed on these facts.

    ``block`` names its tokens in the pool. None: no meter counts these calls, so they need no token.
    """

    facts: Facts
    block: str | None
    calls: int
    ends_at: float
    last_used_at: float
    # Whether some calls with the key are refused: the others, which are nearly all, are not compared.
    is_restricted: bool
    is_reloading: bool = False

    @classmethod
    def from_facts(cls, cache_key: CacheKey, facts: Facts, cost: int, loaded_at: float) -> "CachedDecision":
        """Return a decision on facts that let a call of this cost pass; ``loaded_at`` is before they were read.

        Facts change by themselves when the hour, the key or the subscription ends. The database's clock tells how long
        that takes, this process's monotonic clock measures it: neither has to agree with the other.
        """
        seconds = min(MAX_AGE_SECONDS, (facts.holds_until - facts.decided_at).total_seconds())
        block = _block_name(cache_key, facts) if facts.subjects else None
        return cls(facts, block, cost, loaded_at + seconds, loaded_at, facts.is_restricted)

    def belongs_to(self, owner: str | None) -> bool:
        """Return True for the tenant or the key of the decision, and for None, which means every owner."""
        return owner is None or owner in (self.facts.tenant_id, self.facts.key_id)

    def is_disposable(self, now: float) -> bool:
        return now >= self.ends_at or (self.block is not None and now - self.last_used_at >= IDLE_SECONDS)


def _block_name(cache_key: CacheKey, facts: Facts) -> str:
    """Return the name of a block: equal for equal cache keys of one hour in all processes, which may share it in Redis.

    With the hour in it: a token counts in the hour that leased it. A hash: Redis must not hold the digests of keys.
    """
    return f"stoa-calls:{facts.hour:%Y%m%d%H}:{sha256(repr(cache_key).encode()).hexdigest()[:32]}"


@dataclass(slots=True)
class PendingLookup:
    """A statement in progress: how many tokens to lease, and the facts that it finds, if they let the call pass.

    ``is_storable``: of the statements in progress for one cache key, one may store its facts. ``invalidations`` is
    their number when it began.
    """

    tokens_wanted: int
    token_share: int
    is_storable: bool
    invalidations: int
    facts: Facts | None = None


class DecisionCache(ProcessCache):
    """The allowed decisions of this process, and the tokens that it has still to return to the meters."""

    def __init__(self, pool: TokenPool) -> None:
        self.pool = pool
        self._decisions: dict[CacheKey, CachedDecision] = {}
        self._tokens_to_return: list[TokenLease] = []
        self._invalidations = 0
        # Statements in progress, by the number of invalidations before each began.
        self._pending: Counter[int] = Counter()
        # Guards all of the above. Notified when a statement ends, for ``invalidate``.
        self._changed = Condition()

    def __len__(self) -> int:
        return len(self._decisions)

    def get(self, cache_key: CacheKey, call: Call) -> tuple[Facts, int] | None:
        """Take a token for each call that this one counts as; return the facts, and how many have passed on them.

        None if there is no valid decision, if the key restricts such calls, or if there are too few tokens: then the
        database decides.
        """
        if not lease.is_held():
            return None
        # Without the lock: ``take`` may be a round trip to Redis. If another thread drops the entry now, ``take``
        # either finds the block drained, or has taken a token before that: no token is used twice.
        cached, now = self._decisions.get(cache_key), monotonic()
        # Before a token is taken: a call that the key's restrictions refuse counts nothing.
        if cached is None or now >= cached.ends_at:
            return None
        if (cached.is_restricted or call.tenants is not None) and not call.keeps_to(cached.facts):
            return None
        if cached.block and not self.pool.take(cached.block, call.cost):
            return None
        with self._changed:
            cached.calls += call.cost
            cached.last_used_at = now
            return cached.facts, cached.calls

    @contextmanager
    def loading(self, cache_key: CacheKey, cost: int) -> Iterator[PendingLookup]:
        """Store the facts that are set inside the block, unless an invalidation came in the meantime."""
        loaded_at = lease.note_load()
        with self._changed:
            lookup = self._begin_load(cache_key, cost)
        try:
            yield lookup
        finally:
            # Also after an exception: an invalidation waits for every statement that began before it.
            with self._changed:
                self._end_load(cache_key, lookup)
                if lookup.facts is not None:
                    self._store(cache_key, lookup, CachedDecision.from_facts(cache_key, lookup.facts, cost, loaded_at))

    def _begin_load(self, cache_key: CacheKey, cost: int) -> PendingLookup:
        """Choose how many tokens to lease.

        One thread leases the next block; the others ask for their own call only. Else all threads that wait for a block
        would lease one each.
        """
        cached = self._decisions.get(cache_key)
        lookup = PendingLookup(cost, BLOCKS_PER_PROCESS * lease.holders, cached is None, self._invalidations)
        if cached and not cached.is_reloading and lease.is_held() and self.pool.is_available():
            cached.is_reloading = lookup.is_storable = True
            lookup.tokens_wanted = max(cost, min(BLOCK_GROWTH_FACTOR * cached.facts.granted, MAX_BLOCK_CALLS))
        self._pending[lookup.invalidations] += 1
        return lookup

    def _end_load(self, cache_key: CacheKey, lookup: PendingLookup) -> None:
        self._pending[lookup.invalidations] -= 1
        self._pending = +self._pending  # drops zero counts, which _are_older_loads_done would look at for ever
        self._changed.notify_all()
        if lookup.is_storable and cache_key in self._decisions:
            self._decisions[cache_key].is_reloading = False

    def _store(self, cache_key: CacheKey, lookup: PendingLookup, cached: CachedDecision) -> None:
        """Store a decision and add its tokens to the pool; where it must not be stored, queue them to be returned."""
        leased = cached.facts.granted - cached.calls if cached.block else 0
        count_tokens("leased", leased)
        # An invalidation since the statement began may be about these facts.
        if not lookup.is_storable or lookup.invalidations != self._invalidations or not lease.is_held():
            self._queue_return(cached.facts, leased)
            return
        last = self._decisions.get(cache_key)
        if last and last.block != cached.block:
            self._drop(cache_key)  # of the hour before: its tokens do not count in this one
        elif not last and len(self._decisions) >= MAX_ENTRIES:
            self._drop(next(iter(self._decisions)))  # the oldest: dicts keep the order of insertion
        self._decisions[cache_key] = cached
        if cached.block and leased:
            self._queue_return(cached.facts, self.pool.add(cached.block, leased))

    def _drop(self, cache_key: CacheKey) -> None:
        cached = self._decisions.pop(cache_key)
        if cached.block:
            self._queue_return(cached.facts, self.pool.drain(cached.block))

    def _queue_return(self, facts: Facts, calls: int) -> None:
        # Returned later, outside the lock: returning waits for the database.
        if calls:
            self._tokens_to_return.append(TokenLease(facts.subjects, calls, facts.hour, facts.month, facts.decided_at))

    def invalidate(self, owner: str | None) -> None:
        """Drop the decisions of a tenant or a key, or all with None, and return their tokens."""
        with self._changed:
            self._invalidations += 1
            for cache_key in [key for key, cached in self._decisions.items() if cached.belongs_to(owner)]:
                self._drop(cache_key)
            self._changed.wait_for(self._are_older_loads_done, LOAD_WAIT_SECONDS)
        self._return_tokens()

    def _are_older_loads_done(self) -> bool:
        """Return True if every statement that began before the last invalidation has ended."""
        return all(number == self._invalidations for number in self._pending)

    def expire_idle(self) -> None:
        """Drop decisions that are too old, or not used for IDLE_SECONDS, and return their tokens."""
        with self._changed:
            now = monotonic()
            for cache_key in [key for key, cached in self._decisions.items() if cached.is_disposable(now)]:
                self._drop(cache_key)
        self._return_tokens()

    def _return_tokens(self) -> None:
        """Return the queued tokens to their meters. Raises DatabaseError or InterfaceError; then they stay queued."""
        with self._changed:
            leases, self._tokens_to_return = self._tokens_to_return, []
        if not leases:
            return
        try:
            return_tokens(leases)
        except (DatabaseError, InterfaceError):
            with self._changed:
                self._tokens_to_return += leases
            raise
        count_tokens("returned", sum(lease.calls for lease in leases))


# One per process: the fast path, the views and the listener of changes use the same one. Listed in the settings.
decision_cache = DecisionCache(open_token_pool())
