"""Indexes that find events by type, actor and request. Built without a lock on writes: the log may be long."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("stoa_cp", "0011_longer_request_ids")]

    operations = [
        AddIndexConcurrently(
            "event",
            models.Index(
                fields=["type", "tenant_id", "sequence"],
                name="event_by_type",
                opclasses=["varchar_pattern_ops", "varchar_ops", "int8_ops"],
            ),
        ),
        AddIndexConcurrently("event", models.Index(fields=["actor"], name="event_by_actor")),
        AddIndexConcurrently("event", models.Index(fields=["request_id"], name="event_by_request")),
    ]
