"""APIs and gateway tokens leave the caches as they change; a new API may take calls from a shorter path."""

from django.db import migrations

from stoa_cp.caching.triggers import announce_changes


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial"), ("stoa_cp", "0005_cache_leases")]

    operations = [
        announce_changes("catalog_api", owner="tenant_id"),
        # Not when it was last seen.
        announce_changes("catalog_gateway", owner="id", changes="UPDATE OF token_digest, deleted_at OR DELETE"),
    ]
