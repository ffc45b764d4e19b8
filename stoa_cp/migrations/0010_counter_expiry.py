"""Find the counters whose window is over by an index: the sweep reads them in batches."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # CREATE INDEX CONCURRENTLY cannot run in a transaction
    dependencies = [("stoa_cp", "0009_event_checkpoints")]

    operations = [
        AddIndexConcurrently("counter", models.Index(fields=["expires_at"], name="counter_expires_at")),
    ]
