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
from apikeys.decisions.token_leases import Loan, give_back
from apikeys.decisions.token_pool import Purse, open_purse
from stoa_cp.caching.cache import MAX_AGE_SECONDS, MAX_ENTRIES, chores, invalidators, lease

# What a process that is killed takes with it, of each busy key.
MAX_BLOCK_CALLS = 256
# From a call of its own to the largest block in two steps: who calls once borrows nothing.
GROWTH = 16
# Of what is left before an edge a block takes one part in so many, for each process.
SHARES_PER_PROCESS = 4
IDLE_SECONDS = 0.3
# How long an invalidation waits for those who are asking: what they are granted must be given back as well. They take a
# few milliseconds, or as long as somebody else locks a meter.
PATIENCE_SECONDS = 0.5

# What tells one question from another: the key's digests, and the tenant, the path and the id of an API.
Topic = tuple[tuple[bytes, ...], str | None, str | None, str | None]


@dataclass(slots=True)
class Warm:
    """A decision that lets calls pass until ``ends_at`` (monotonic seconds); ``made`` have passed here.

    As many as are left in the purse of this name; without limit, where no meter counts them.
    """

    facts: Facts
    purse: str | None
    made: int
    ends_at: float
    used_at: float
    is_asked_for: bool = False

    @classmethod
    def of(cls, topic: Topic, facts: Facts, cost: int, asked_at: float) -> "Warm":
        """Return what passing facts let pass; ``asked_at`` (monotonic seconds) is before they were read."""
        seconds = min(MAX_AGE_SECONDS, (facts.holds_until - facts.asked_at).total_seconds())
        purse = _name_purse(topic, facts) if facts.subjects else None
        return cls(facts, purse, cost, asked_at + seconds, asked_at)

    def is_of(self, owner: str | None) -> bool:
        return owner is None or owner in (self.facts.tenant_id, self.facts.key_id)

    def is_over(self, now: float) -> bool:
        return now >= self.ends_at or (self.purse is not None and now - self.used_at >= IDLE_SECONDS)


def _name_purse(topic: Topic, facts: Facts) -> str:
    """Return the same name for the same question in the same hour, whichever process asks. It tells nobody the key."""
    return f"stoa-calls:{facts.hour:%Y%m%d%H}:{sha256(repr(topic).encode()).hexdigest()[:32]}"


@dataclass(slots=True)
class Inquiry:
    """A question on its way to the database: how many calls to ask for, and the facts that let them pass."""

    wanted: int
    share: int
    is_first: bool
    invalidations: int
    facts: Facts | None = None


class Memory:
    """All warm decisions of this process, and what it owes the meters."""

    def __init__(self, purse: Purse) -> None:
        self.purse = purse
        self._warm: dict[Topic, Warm] = {}
        self._owed: list[Loan] = []
        self._invalidations = 0
        # How many inquiries are on their way, by the number of invalidations before them.
        self._inquiries: Counter[int] = Counter()
        self._changed = Condition()
        invalidators.append(self.invalidate)
        chores.append(self.tidy)

    def repeat(self, topic: Topic, cost: int) -> tuple[Facts, int] | None:
        """Return the facts that let ``cost`` more calls pass, and how many were made since they were read.

        None if the database must be asked.
        """
        if not lease.is_held():
            return None
        warm, now = self._warm.get(topic), monotonic()
        if warm is None or now >= warm.ends_at or (warm.purse and not self.purse.take(warm.purse, cost)):
            return None
        with self._changed:
            warm.made += cost
            warm.used_at = now
            return warm.facts, warm.made

    @contextmanager
    def inquiring(self, topic: Topic, cost: int) -> Iterator[Inquiry]:
        """Keep the facts that are found inside the block, unless somebody changes them meanwhile."""
        asked_at = monotonic()
        with self._changed:
            inquiry = self._begin(topic, cost)
        try:
            yield inquiry
        finally:
            with self._changed:
                self._end(topic, inquiry)
                if inquiry.facts is not None:
                    self._keep(topic, inquiry, Warm.of(topic, inquiry.facts, cost, asked_at))

    def _begin(self, topic: Topic, cost: int) -> Inquiry:
        """Ask for a block if the last one was used up; one thread does, the others for their own calls only."""
        warm = self._warm.get(topic)
        inquiry = Inquiry(cost, SHARES_PER_PROCESS * lease.holders, warm is None, self._invalidations)
        if warm and not warm.is_asked_for and lease.is_held() and self.purse.is_open():
            warm.is_asked_for = inquiry.is_first = True
            inquiry.wanted = max(cost, min(GROWTH * warm.facts.granted, MAX_BLOCK_CALLS))
        self._inquiries[inquiry.invalidations] += 1
        return inquiry

    def _end(self, topic: Topic, inquiry: Inquiry) -> None:
        self._inquiries[inquiry.invalidations] -= 1
        self._inquiries = +self._inquiries  # without those of which none is left
        self._changed.notify_all()
        if inquiry.is_first and topic in self._warm:
            self._warm[topic].is_asked_for = False

    def _keep(self, topic: Topic, inquiry: Inquiry, warm: Warm) -> None:
        """Put what was lent into the purse, where others may be taking from it; or owe it."""
        lent = warm.facts.granted - warm.made if warm.purse else 0
        if not inquiry.is_first or inquiry.invalidations != self._invalidations or not lease.is_held():
            self._owe(warm.facts, lent)
            return
        last = self._warm.get(topic)
        if last and last.purse != warm.purse:
            self._forget(topic)
        elif not last and len(self._warm) >= MAX_ENTRIES:
            self._forget(next(iter(self._warm)))  # the oldest
        self._warm[topic] = warm
        if warm.purse and lent:
            self._owe(warm.facts, self.purse.put(warm.purse, lent))

    def _forget(self, topic: Topic) -> None:
        warm = self._warm.pop(topic)
        if warm.purse:
            self._owe(warm.facts, self.purse.empty(warm.purse))

    def _owe(self, facts: Facts, calls: int) -> None:
        if calls:
            self._owed.append(Loan(facts.subjects, calls, facts.hour, facts.month, facts.asked_at))

    def invalidate(self, owner: str | None) -> None:
        """Forget what was found of an owner's rows, or of all, and give back what was borrowed."""
        with self._changed:
            self._invalidations += 1
            for topic in [topic for topic, warm in self._warm.items() if warm.is_of(owner)]:
                self._forget(topic)
            self._changed.wait_for(self._is_heard, PATIENCE_SECONDS)
        self._settle()

    def _is_heard(self) -> bool:
        """Tell whether all inquiries from before the last invalidation have come back."""
        return all(number == self._invalidations for number in self._inquiries)

    def tidy(self) -> None:
        """Forget what nobody asks for any more."""
        with self._changed:
            now = monotonic()
            for topic in [topic for topic, warm in self._warm.items() if warm.is_over(now)]:
                self._forget(topic)
        self._settle()

    def _settle(self) -> None:
        """Pay the meters. What could not be paid stays owed."""
        with self._changed:
            owed, self._owed = self._owed, []
        if not owed:
            return
        try:
            give_back(owed)
        except (DatabaseError, InterfaceError):
            with self._changed:
                self._owed += owed
            raise


memory = Memory(open_purse())
