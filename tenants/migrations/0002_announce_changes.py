"""A tenant that is suspended or deleted is in no cache any more."""

from django.db import migrations

from stoa_cp.caching.triggers import announce_changes


class Migration(migrations.Migration):
    dependencies = [("tenants", "0001_initial"), ("stoa_cp", "0005_cache_leases")]

    operations = [
        announce_changes("tenants_tenant", owner="id"),
    ]
