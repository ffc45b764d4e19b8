"""Index deliveries by age, and deleted webhooks, for the sweeps and the console.

Concurrently: deliveries are written and claimed while the indexes are built, also by an older release.
"""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("webhooks", "0004_replays")]

    operations = [
        AddIndexConcurrently(
            "delivery", models.Index(fields=["-created_at", "-id"], name="delivery_of_all_newest_first")
        ),
        AddIndexConcurrently(
            "delivery",
            models.Index(
                fields=["status", "-created_at", "-id"],
                name="delivery_not_delivered",
                condition=~models.Q(status="delivered"),
            ),
        ),
        AddIndexConcurrently(
            "webhook",
            models.Index(
                fields=["deleted_at"], name="webhook_deleted", condition=models.Q(deleted_at__isnull=False)
            ),
        ),
    ]
