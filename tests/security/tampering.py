"""What the owner of the database, or a superuser, can do to the event log."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from stoa_cp.eventlog.chain import GENESIS, link_hash
from stoa_cp.eventlog.models import Event, EventChain, OutboxEntry


@contextmanager
def triggers_off() -> Iterator[None]:
    """Let the block change the log."""
    OutboxEntry.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE stoa_cp_event DISABLE TRIGGER event_is_immutable")
        yield
        cursor.execute("ALTER TABLE stoa_cp_event ENABLE TRIGGER event_is_immutable")


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
        Event.objects.filter(tenant_id=tenant_id, sequence__gt=after)._raw_delete("default")  # type: ignore[attr-defined]
        rehash(tenant_id)


def remove(tenant_id: str) -> None:
    """Remove a chain with its head."""
    cut_off(tenant_id, after=0)
    EventChain.objects.filter(tenant_id=tenant_id).delete()
