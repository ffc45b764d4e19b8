"""The hash chain that makes the event log tamper-evident: each event's hash covers the one before it."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Max

from stoa_cp.eventlog.models import Event, EventChain

GENESIS = bytes(32)  # the hash before the first event: as long as a SHA-256, and the hash of no event


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
class ChainState:
    """The result of a walk along a tenant's chain: ``head`` is the hash after ``events`` events, in hexadecimal."""

    events: int
    head: str
    first_broken_cursor: int | None

    @property
    def intact(self) -> bool:
        return self.first_broken_cursor is None


def tenants_with_events() -> list[str]:
    """Return the ids of all tenants with a head or with events: if either was deleted, the other shows it."""
    heads = EventChain.objects.values_list("tenant_id", flat=True)
    logs = Event.objects.order_by("tenant_id").values_list("tenant_id", flat=True).distinct()
    return sorted({*heads, *logs})


def examine_chain(tenant_id: str) -> ChainState:
    """Walk a tenant's chain.

    A log that was replaced as a whole is intact by itself. Only a ``head`` that was stored elsewhere shows it.
    """
    head = _head_of(tenant_id)  # read before the walk, so that the walk covers it
    return ChainState(head.sequence, bytes(head.hash).hex(), first_broken_sequence(tenant_id))


def first_broken_sequence(tenant_id: str) -> int | None:
    """Walk a tenant's chain to its head; return the number of the first event that is altered, missing or foreign.

    Takes no lock, so events may be appended meanwhile; those after the head that was read are left out.
    """
    newest = Event.objects.filter(tenant_id=tenant_id).aggregate(Max("sequence"))["sequence__max"] or 0
    # Read after the newest event: a head that is behind an event that was visible before it is a fault, and no race.
    head = _head_of(tenant_id)
    if head.sequence < newest:
        return head.sequence + 1
    previous, expected = GENESIS, 1
    for event in _in_order(tenant_id, head.sequence):
        if event.sequence != expected or not _follows(event, previous):
            return expected
        previous, expected = bytes(event.hash), expected + 1
    if expected <= head.sequence:
        return expected
    return None if previous == bytes(head.hash) else head.sequence


def _head_of(tenant_id: str) -> EventChain:
    return EventChain.objects.filter(tenant_id=tenant_id).first() or EventChain(tenant_id=tenant_id, hash=GENESIS)


def _follows(event: Event, previous: bytes) -> bool:
    return bytes(event.previous_hash) == previous and bytes(event.hash) == link_hash(previous, event)


def _in_order(tenant_id: str, last: int) -> Iterator[Event]:
    # In chunks: a log may be longer than the memory of this process.
    events = Event.objects.filter(tenant_id=tenant_id, sequence__lte=last)
    return events.order_by("sequence").iterator(chunk_size=1000)
