"""An index that reads active subscriptions in portions. Built without a lock on writes: the table may be large."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("subscriptions", "0007_count_live_subscriptions")]

    operations = [
        AddIndexConcurrently(
            "subscription",
            models.Index(fields=["tenant", "id"], name="subscription_active", condition=models.Q(status="active")),
        ),
    ]
