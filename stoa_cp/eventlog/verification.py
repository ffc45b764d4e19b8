"""Verifies a part of a tenant's chain for a caller who waits: bounded, and one at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from stoa_cp.domain.errors import DomainError, ErrorCode, InvalidField
from stoa_cp.eventlog.chain import START, Link, read_head, walk
from stoa_cp.eventlog.checkpoints import link_of, trusted_checkpoint
from stoa_cp.eventlog.heads import SignedHead
from stoa_cp.eventlog.models import Event

# Per call: 40,000 took 3.7 s of a core on a busy machine. A longer log is verified in several calls.
MAX_EVENTS = 50_000
# The first of the two numbers of an advisory lock; nothing else in this database takes locks of two numbers.
VERIFICATION_LOCK = 7_862
# One per process. Hashing takes the core that the other threads of the process need: with 16 verifications of 40,000
# events at once, its health check took 24 s; with one, 0.3 s at most.
_process_slot = Lock()


class VerificationUnderWay(DomainError):
    """Another call verifies the same log, or another log in the same process."""

    code = ErrorCode.RATE_LIMITED
    detail_code = "too_many_at_once"
    message = _("A log is being verified. Try again in a moment.")
    retry_after_seconds = 5  # about as long as the longest verification takes


class Range(NamedTuple):
    """Events of a chain, by their numbers, both included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ChainState:
    """The result for the events ``first`` to ``last`` of a chain that has ``events``, the last with the hash ``head``.

    ``first`` and ``last`` are None for an empty log. ``checkpoint`` is where the verification began, if it was at one.
    """

    events: int
    head: str
    first: int | None
    last: int | None
    first_broken: int | None
    checkpoint: SignedHead | None

    @property
    def intact(self) -> bool:
        return self.first_broken is None


def verify_chain(tenant_id: str, first: int | None = None, last: int | None = None) -> ChainState:
    """Verify the events ``first`` to ``last`` of a tenant, at most MAX_EVENTS.

    ``first`` is the event of the last checkpoint unless given, or the first event without a checkpoint; ``last`` is the
    head. The hash before ``first`` is taken as it is stored: only a signed one proves what came before.

    Raises VerificationUnderWay, and InvalidField for events that the log does not have.
    """
    with _one_at_a_time(tenant_id):
        head, broken = read_head(tenant_id)
        checkpoint = _checkpoint_for(tenant_id, first, last)
        begin = checkpoint.sequence if checkpoint else 1 if first is None else first
        end = min(head.sequence if last is None else last, begin + MAX_EVENTS - 1)
        if checkpoint and checkpoint.sequence > head.sequence:
            broken = head.sequence + 1  # the end of the log is gone
        elif head.sequence or first is not None or last is not None:
            _check_range(begin, end, head.sequence)
            broken = broken or _walk_range(tenant_id, Range(begin, end), head, checkpoint)
    is_empty = begin > end
    return ChainState(
        events=head.sequence,
        head=head.hash.hex(),
        first=None if is_empty else begin,
        last=None if is_empty else end,
        first_broken=broken,
        checkpoint=checkpoint,
    )


def _checkpoint_for(tenant_id: str, first: int | None, last: int | None) -> SignedHead | None:
    """Return the checkpoint to begin at, or None if the caller names another beginning, or an end before it."""
    checkpoint = trusted_checkpoint(tenant_id) if first is None else None
    return None if checkpoint and last is not None and last < checkpoint.sequence else checkpoint


def _check_range(first: int, last: int, newest: int) -> None:
    if not 0 < first <= newest:
        raise InvalidField("from", _("The log has no event with this number."))
    if not first <= last <= newest:
        raise InvalidField("to", _("The log has no event with this number, or it is before the first one."))


def _walk_range(tenant_id: str, events: Range, head: Link, checkpoint: SignedHead | None) -> int | None:
    """Return the number of the first broken event, or None."""
    before = _stored_link(tenant_id, events.first - 1)
    if before is None:
        return events.first - 1
    # Before the walk: where the checkpoint is contradicted, no later event is the first broken one.
    if checkpoint and _stored_link(tenant_id, events.first) != link_of(checkpoint):
        return events.first
    return walk(tenant_id, before, events.last, head)[1]


def _stored_link(tenant_id: str, sequence: int) -> Link | None:
    if sequence == 0:
        return START
    event = Event.objects.filter(tenant_id=tenant_id, sequence=sequence).only("sequence", "hash").first()
    return None if event is None else Link(event.sequence, bytes(event.hash))


@contextmanager
def _one_at_a_time(tenant_id: str) -> Iterator[None]:
    """Let one caller in at a time, of each tenant in all processes, and of all tenants in this one.

    Raises VerificationUnderWay at once: callers who wait would hold the threads that others need.
    """
    if not _process_slot.acquire(blocking=False):
        raise VerificationUnderWay
    try:
        # A lock of the transaction, not of the session: a pooler may give the session to another process.
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", [VERIFICATION_LOCK, tenant_id])
            if not cursor.fetchone()[0]:
                raise VerificationUnderWay
            yield
    finally:
        _process_slot.release()
