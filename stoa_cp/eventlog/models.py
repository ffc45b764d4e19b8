"""The rows of the event log: events, heads and checkpoints of their chains, the outbox, and the names of actors."""

from django.db import models

from stoa_cp.db.ids import IdField
from stoa_cp.tracing.spans import TRACEPARENT_CHARACTERS


class Event(models.Model):
    """A change, written in the transaction that made it; never updated or deleted (a trigger refuses it).

    ``sequence`` numbers a tenant's events in order of commit and is the public cursor. ``hash`` chains them:
    see ``stoa_cp.eventlog.chain``. ``tenant_id`` is no foreign key: the log outlives its tenant.
    """

    id = IdField(prefix="evt")
    tenant_id = models.CharField(max_length=20, db_collation="C")
    sequence = models.BigIntegerField()
    type = models.CharField(max_length=64)
    timestamp = models.DateTimeField()
    actor = models.CharField(max_length=255)
    request_id = models.CharField(max_length=128, blank=True)
    address = models.GenericIPAddressField(null=True)
    data = models.JSONField()
    changes = models.JSONField(default=dict)
    previous_hash = models.BinaryField(max_length=32)
    hash = models.BinaryField(max_length=32)
    # W3C's: the work that made the event, for the traces of its deliveries. Not in the hash: it proves nothing.
    traceparent = models.CharField(max_length=TRACEPARENT_CHARACTERS, null=True, blank=True)

    class Meta:
        ordering = ["tenant_id", "-sequence"]
        indexes = [
            models.Index(fields=["-timestamp"], name="event_newest_first"),
            # A tenant's events of a type, from a number on; and the types of a family, which this operator class
            # compares by bytes.
            models.Index(
                fields=["type", "tenant_id", "sequence"],
                name="event_by_type",
                opclasses=["varchar_pattern_ops", "varchar_ops", "int8_ops"],
            ),
            # For the console's search: one for an unknown id would read the whole log.
            models.Index(fields=["actor"], name="event_by_actor"),
            models.Index(fields=["request_id"], name="event_by_request"),
        ]
        constraints = [models.UniqueConstraint(fields=["tenant_id", "sequence"], name="event_sequence_unique")]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class EventChain(models.Model):
    """The head of one tenant's chain of events, locked by each ``emit`` until its commit.

    It is locked last in every transaction. All changes of a tenant meet here, so a lock that is taken after it would
    be held in two orders sooner or later, which is a deadlock; and the others wait for all that follows it.
    """

    tenant_id = models.CharField(max_length=20, db_collation="C", primary_key=True)
    sequence = models.BigIntegerField(default=0)
    hash = models.BinaryField(max_length=32)


class EventCheckpoint(models.Model):
    """The signed head up to which a chain was verified; it counts only with a valid signature.

    The columns are the members of ``stoa_cp.eventlog.heads.SignedHead``. ``at`` is text, as it was signed.
    """

    tenant_id = models.CharField(max_length=20, db_collation="C", primary_key=True)
    sequence = models.BigIntegerField()
    hash = models.BinaryField(max_length=32)
    at = models.CharField(max_length=20)
    key_id = models.CharField(max_length=16)
    signature = models.CharField(max_length=88)


class OutboxEntry(models.Model):
    """An event that is not fanned out yet. The fan-out deletes this row: a flag on the event would be an update."""

    event = models.OneToOneField(Event, on_delete=models.CASCADE, primary_key=True, related_name="outbox_entry")

    class Meta:
        # The table keeps its first name: an older release runs beside this one during an upgrade.
        db_table = "stoa_cp_eventdispatch"
        verbose_name_plural = "outbox entries"


class ActorName(models.Model):
    """What an actor is called, beside its id, which the log keeps.

    In a table of its own: events are never changed, a name can be, and can be erased without breaking a chain.
    """

    id = models.CharField(max_length=255, primary_key=True, db_collation="C")
    name = models.CharField(max_length=150)

    def __str__(self) -> str:
        return self.name
