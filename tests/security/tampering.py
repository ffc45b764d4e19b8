"""Chains of events, and what the owner of the database, or a superuser, can do to them."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.chain import GENESIS, link_hash
from stoa_cp.eventlog.emit import emit
from stoa_cp.eventlog.models import Event, EventChain, OutboxEntry


def append(tenant_id: str, events: int = 1) -> None:
    """Add events to a chain, as the service does."""
    with transaction.atomic():
        for number in range(events):
            emit("tenant.updated", tenant_id=tenant_id, actor=SYSTEM, data={"number": number})


@contextmanager
def triggers_off() -> Iterator[None]:
    """Let the block change the log."""
    OutboxEntry.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE stoa_cp_event DISABLE TRIGGER event_is_immutable")
        yield
        cursor.execute("ALTER TABLE stoa_cp_event ENABLE TRIGGER event_is_immutable")


def delete_events(**selected: object) -> None:
    """Delete events as a statement in SQL does. The public ``delete`` would delete what refers to them, too."""
    Event.objects.filter(**selected)._raw_delete("default")


def rewrite(tenant_id: str, sequence: int, actor: str = "mallory") -> None:
    """Change who made an event, and hash the chain again from there: it is whole afterwards."""
    with triggers_off():
        Event.objects.filter(tenant_id=tenant_id, sequence=sequence).update(actor=actor)
        rehash(tenant_id)


def rehash(tenant_id: str) -> None:
    """Give each event of a chain the hash that it should have, and the chain its head."""
    previous, number = GENESIS, 0
    for event in Event.objects.filter(tenant_id=tenant_id).order_by("sequence"):
        event.previous_hash = previous
        previous, number = link_hash(previous, event), event.sequence
        Event.objects.filter(id=event.id).update(previous_hash=event.previous_hash, hash=previous)
    EventChain.objects.filter(tenant_id=tenant_id).update(sequence=number, hash=previous)


def cut_off(tenant_id: str, after: int) -> None:
    """Remove the end of a chain, and set its head back."""
    with triggers_off():
        delete_events(tenant_id=tenant_id, sequence__gt=after)
        rehash(tenant_id)


def remove(tenant_id: str) -> None:
    """Remove a chain with its head."""
    cut_off(tenant_id, after=0)
    EventChain.objects.filter(tenant_id=tenant_id).delete()
