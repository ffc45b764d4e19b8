"""The index that finds the APIs whose check is due; built without a lock on the table."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False  # CREATE INDEX CONCURRENTLY cannot run in a transaction

    dependencies = [("catalog", "0003_sandbox_checks_and_bindings")]

    operations = [
        AddIndexConcurrently(
            "api", models.Index(fields=["upstream_check_due_at"], name="api_check_due", condition=Q(deleted_at=None))
        ),
    ]
