"""The rows of the event log: events, the heads of their hash chains, and marks of events not fanned out yet."""

from django.db import models

from stoa_cp.db.ids import IdField


class Event(models.Model):
    """Something that happened, written in the transaction that made it happen; never changed afterwards.

    ``sequence`` numbers a tenant's events in order of commit and is the public cursor. ``hash`` chains them:
    see ``stoa_cp.eventlog.chain``. ``tenant_id`` is no foreign key: the log outlives what it speaks of.
    """

    id = IdField(prefix="evt")
    tenant_id = models.CharField(max_length=20, db_collation="C")
    sequence = models.BigIntegerField()
    type = models.CharField(max_length=64)
    timestamp = models.DateTimeField()
    actor = models.CharField(max_length=255)
    request_id = models.CharField(max_length=64, blank=True)
    address = models.GenericIPAddressField(null=True)
    data = models.JSONField()
    changes = models.JSONField(default=dict)
    previous_hash = models.BinaryField(max_length=32)
    hash = models.BinaryField(max_length=32)

    class Meta:
        ordering = ["tenant_id", "-sequence"]
        indexes = [models.Index(fields=["-timestamp"], name="event_newest_first")]
        constraints = [models.UniqueConstraint(fields=["tenant_id", "sequence"], name="event_sequence_unique")]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class EventChain(models.Model):
    """The head of one tenant's chain of events: locked last, so that the log is in order of commit."""

    tenant_id = models.CharField(max_length=20, db_collation="C", primary_key=True)
    sequence = models.BigIntegerField(default=0)
    hash = models.BinaryField(max_length=32)


class OutboxEntry(models.Model):
    """Marks an event that is not fanned out yet. The fan-out deletes it, so that no event is ever updated."""

    event = models.OneToOneField(Event, on_delete=models.CASCADE, primary_key=True, related_name="outbox_entry")

    class Meta:
        # The table keeps its first name: an older release runs beside this one during an upgrade.
        db_table = "stoa_cp_eventdispatch"
        verbose_name_plural = "outbox entries"
