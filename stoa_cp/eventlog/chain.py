"""The hash chain that makes the event log tamper-evident: each event's hash covers the one before it."""

import hashlib
import json
from dataclasses import dataclass

from django.db.models import Max, QuerySet

from stoa_cp.eventlog.models import Event, EventChain

GENESIS = bytes(32)  # the hash before the first event: as long as a SHA-256, and the hash of no event
# Events in memory at a time. They are hashed in 7 ms, after which other threads run.
EVENTS_AT_ONCE = 500


def link_hash(previous: bytes, event: Event) -> bytes:
    """Return SHA-256(previous ‖ canonical JSON of ``event``): sorted keys, no blanks, UTF-8.

    A change here breaks every stored chain.
    """
    content = {
        "id": event.id,
        "tenant_id": event.tenant_id,
        "sequence": event.sequence,
        "type": event.type,
        "timestamp": event.timestamp.isoformat(),
        "actor": event.actor,
        "request_id": event.request_id,
        "address": event.address,
        "data": event.data,
        "changes": event.changes,
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(previous + canonical.encode()).digest()


@dataclass(frozen=True, slots=True)
class Link:
    """A place in a chain: the number of an event, and its hash."""

    sequence: int
    hash: bytes


START = Link(0, GENESIS)


def tenants_with_events() -> list[str]:
    """Return the ids of all tenants with a head or with events: if either was deleted, the other shows it."""
    heads = EventChain.objects.values_list("tenant_id", flat=True)
    logs = Event.objects.order_by("tenant_id").values_list("tenant_id", flat=True).distinct()
    return sorted({*heads, *logs})


def chains_after(tenant_id: str) -> QuerySet[EventChain]:
    """Return the heads of the chains with events whose tenants' ids come after ``tenant_id``, in that order."""
    return EventChain.objects.filter(tenant_id__gt=tenant_id, sequence__gt=0).order_by("tenant_id")


def first_broken_sequence(tenant_id: str) -> int | None:
    """Walk a tenant's chain to its head; return the number of the first event that is altered, missing or foreign.

    A log that was replaced as a whole is intact by itself. Only heads that were stored elsewhere show it.
    """
    head, broken = read_head(tenant_id)
    return broken or walk(tenant_id, START, head.sequence, head)[1]


def read_head(tenant_id: str) -> tuple[Link, int | None]:
    """Return the head of a chain, and the number of the first event after it, which is a fault, or None."""
    newest = Event.objects.filter(tenant_id=tenant_id).aggregate(Max("sequence"))["sequence__max"] or 0
    # Read after the newest event: a head that is behind an event that was visible before it is a fault, and no race.
    chain = EventChain.objects.filter(tenant_id=tenant_id).first()
    head = START if chain is None else Link(chain.sequence, bytes(chain.hash))
    return head, head.sequence + 1 if head.sequence < newest else None


def walk(tenant_id: str, start: Link, last: int, head: Link) -> tuple[Link, int | None]:
    """Verify the events after ``start`` to number ``last``. Return the last good link, and the first broken number.

    A walk that ends at the ``head`` must end with its hash. Takes no lock, so events may be appended meanwhile.
    """
    good = start
    while good.sequence < last:
        events = _events_after(tenant_id, good.sequence, last)
        for event in events:
            if event.sequence != good.sequence + 1 or not _follows(event, good.hash):
                return good, good.sequence + 1
            good = Link(event.sequence, bytes(event.hash))
        if not events:
            return good, good.sequence + 1
    if last == head.sequence and good != head:
        # A head of no events must have the hash GENESIS. With any other, the log was emptied: event 1 is missing.
        return good, last or 1
    return good, None


def _follows(event: Event, previous: bytes) -> bool:
    return bytes(event.previous_hash) == previous and bytes(event.hash) == link_hash(previous, event)


def _events_after(tenant_id: str, sequence: int, last: int) -> list[Event]:
    # In portions, because a log may be longer than the memory of this process. Each starts in the index: a server-side
    # cursor would copy the whole log first (3 s for a million events), and does not work behind a pooler.
    events = Event.objects.filter(tenant_id=tenant_id, sequence__gt=sequence, sequence__lte=last)
    return list(events.order_by("sequence")[:EVENTS_AT_ONCE])
