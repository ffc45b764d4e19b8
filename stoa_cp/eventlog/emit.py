"""Appends events to the log, in the transaction of the change that they tell of.

The log is the audit trail, the source of webhooks and the live stream. A service emits last: from there to the commit,
every other change with an event of the same tenant waits for the head of its chain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from structlog.contextvars import get_contextvars

from stoa_cp.caching.barrier import wait_for_invalidation_on_commit
from stoa_cp.domain.actors import Actor
from stoa_cp.eventlog.chain import GENESIS, link_hash
from stoa_cp.eventlog.models import Event, EventChain, OutboxEntry
from stoa_cp.eventlog.names import store_name_on_commit
from stoa_cp.jobs.enqueue import enqueue_on_commit
from stoa_cp.tracing.spans import current_traceparent

# A change of one field, before and after: {"tier": ["starter", "business"]}.
Changes = Mapping[str, list[Any]]
# The log of events that belong to no tenant, such as those of gateways. It stands where a tenant's id would: an id has
# a prefix and a hyphen, so that no tenant has this one.
PLATFORM_LOG = "platform"


@dataclass(frozen=True, slots=True)
class EventDraft:
    """What a service tells of one change. ``data`` is a snapshot in JSON types that never holds a secret."""

    type: StrEnum
    data: Mapping[str, Any]
    changes: Changes | None = None


def emit(
    type: StrEnum,  # noqa: A002 - the field's name in the log
    *,
    tenant_id: str,
    actor: Actor,
    data: Mapping[str, Any],
    changes: Changes | None = None,
) -> Event:
    """Append one event, as ``emit_all`` does."""
    (event,) = emit_all([EventDraft(type, data, changes)], tenant_id=tenant_id, actor=actor)
    return event


def emit_all(drafts: Sequence[EventDraft], *, tenant_id: str, actor: Actor) -> list[Event]:
    """Append events to a tenant's log, or PLATFORM_LOG, in the caller's transaction; announce them after the commit.

    A set of changes appends its events here together: five statements for all of them, during which other changes of
    the tenant wait for the head.
    Every call delays the caller after its commit, and so the response, until the caches of all processes have been
    invalidated: no process may let a call pass after the revocation of its key was answered. That takes milliseconds
    as a rule, and at most 1.5 s if a process with a lease is frozen or cut off (``stoa_cp.caching.barrier``). All
    events wait, so that no service can forget it; a transaction waits once.

    Raises TransactionManagementError outside a transaction: an event could be stored without its change.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(f"{drafts[0].type} was emitted outside a transaction")
    head = _lock_head(tenant_id)
    events = [_append(draft, head, actor) for draft in drafts]
    Event.objects.bulk_create(events)
    head.save()
    OutboxEntry.objects.bulk_create([OutboxEntry(event=event) for event in events])
    wait_for_invalidation_on_commit()
    enqueue_on_commit(settings.EVENT_CONSUMER_TASK)
    store_name_on_commit(actor)
    return events


def _append(draft: EventDraft, head: EventChain, actor: Actor) -> Event:
    """Return the next event of a chain, and move its head."""
    event = Event(
        tenant_id=head.tenant_id,
        sequence=head.sequence + 1,
        type=str(draft.type),
        timestamp=timezone.now(),
        actor=actor.id,
        **_request(),
        data=dict(draft.data),
        changes=dict(draft.changes or {}),
        previous_hash=bytes(head.hash),
        traceparent=current_traceparent() or None,
    )
    event.hash = head.hash = link_hash(bytes(head.hash), event)
    head.sequence = event.sequence
    return event


def _request() -> dict[str, Any]:
    """Return the request that makes the change: none, in a task or a command."""
    context = get_contextvars()
    return {"request_id": context.get("request_id", ""), "address": context.get("address")}


def _lock_head(tenant_id: str) -> EventChain:
    """Lock the chain's head until commit: sequence numbers are given in the order in which changes commit.

    So a reader that goes on from the last cursor it saw misses nothing.
    """
    # A tenant's first event creates the head. Of two first events at once, the second waits for the first's insert.
    EventChain.objects.bulk_create([EventChain(tenant_id=tenant_id, hash=GENESIS)], ignore_conflicts=True)
    return EventChain.objects.select_for_update().get(tenant_id=tenant_id)
