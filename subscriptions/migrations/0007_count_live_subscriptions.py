"""An index that counts a tenant's rows up to their bound. Built without a lock on writes: the table may be large."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("subscriptions", "0006_plan_terms_set_by")]

    operations = [
        AddIndexConcurrently(
            "subscription",
            models.Index(
                fields=["tenant"],
                name="subscription_live",
                condition=models.Q(status__in=["pending_approval", "active", "suspended"]),
            ),
        ),
    ]
