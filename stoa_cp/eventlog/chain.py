"""The hash chain that makes the event log tamper-evident: each event's hash covers the one before it."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Max

from stoa_cp.eventlog.models import Event, EventChain

GENESIS = bytes(32)


def link_hash(previous: bytes, event: Event) -> bytes:
    """Return SHA-256(previous ‖ canonical JSON of ``event``): sorted keys, no blanks, UTF-8."""
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
    """What a walk along a tenant's chain found: ``head`` is the hash that ``events`` events lead to, in hexadecimal."""

    events: int
    head: str
    first_broken_cursor: int | None

    @property
    def intact(self) -> bool:
        return self.first_broken_cursor is None


def tenants_with_events() -> list[str]:
    """Return the ids of all tenants that have a log, or had one whose head is left."""
    heads = EventChain.objects.values_list("tenant_id", flat=True)
    logs = Event.objects.order_by("tenant_id").values_list("tenant_id", flat=True).distinct()
    return sorted({*heads, *logs})


def examine_chain(tenant_id: str) -> ChainState:
    """Walk a tenant's chain. Whoever has kept a ``head`` of his own can tell whether the whole log was replaced."""
    head = _head_of(tenant_id)  # before the walk, which then covers it
    return ChainState(head.sequence, bytes(head.hash).hex(), first_broken_sequence(tenant_id))


def first_broken_sequence(tenant_id: str) -> int | None:
    """Walk a tenant's chain to its head; return the number of the first event that is altered, missing or foreign.

    Goes on while events are appended; those that come after its start are the next walk's.
    """
    newest = Event.objects.filter(tenant_id=tenant_id).aggregate(Max("sequence"))["sequence__max"] or 0
    # Read after it: a head knows every event that could be seen before.
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
    events = Event.objects.filter(tenant_id=tenant_id, sequence__lte=last)
    return events.order_by("sequence").iterator(chunk_size=1000)
