"""Indexes that find subscriptions by status and for the console. Built without a lock on writes."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("subscriptions", "0008_active_subscriptions_by_id")]

    operations = [
        AddIndexConcurrently(
            "subscription",
            models.Index(
                fields=["tenant", "expires_at"],
                name="subscription_of_tenant_expires",
                condition=Q(expires_at__isnull=False),
            ),
        ),
        AddIndexConcurrently(
            "subscription",
            models.Index(fields=["tenant"], name="subscription_revoked", condition=Q(status="revoked")),
        ),
        AddIndexConcurrently(
            "subscription", models.Index(fields=["-created_at", "-id"], name="subscription_of_all_newest")
        ),
        AddIndexConcurrently(
            "subscription", models.Index(fields=["status", "-created_at", "-id"], name="subscription_by_status")
        ),
        AddIndexConcurrently(
            "subscription", models.Index(fields=["application"], name="subscription_by_application")
        ),
    ]
