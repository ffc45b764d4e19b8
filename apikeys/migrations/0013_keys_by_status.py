"""Indexes that find keys by their computed status, and for the console. Built without a lock on writes."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("apikeys", "0012_unrevoked_keys_by_id")]

    operations = [
        AddIndexConcurrently(
            "apikey",
            models.Index(
                fields=["tenant", "expires_at"], name="apikey_of_tenant_expiring", condition=Q(expires_at__isnull=False)
            ),
        ),
        AddIndexConcurrently(
            "apikey", models.Index(fields=["tenant"], name="apikey_revoked", condition=Q(revoked_at__isnull=False))
        ),
        AddIndexConcurrently(
            "apikey", models.Index(fields=["-created_at", "-id"], name="apikey_of_all_newest_first")
        ),
        AddIndexConcurrently(
            "apikey", models.Index(fields=["start"], name="apikey_by_start", opclasses=["varchar_pattern_ops"])
        ),
        AddIndexConcurrently(
            "keysecret",
            models.Index(fields=["valid_until"], name="secret_of_rotation", condition=Q(valid_until__isnull=False)),
        ),
    ]
