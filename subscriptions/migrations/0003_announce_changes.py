"""Subscriptions and plans leave the caches as they change."""

from django.db import migrations

from stoa_cp.caching.triggers import announce_changes


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0002_tenant_isolation"), ("stoa_cp", "0005_cache_leases")]

    operations = [
        announce_changes("subscriptions_plan", owner="tenant_id", changes="UPDATE OR DELETE"),
        announce_changes("subscriptions_subscription", owner="tenant_id", changes="UPDATE OR DELETE"),
    ]
