"""Keys and their secrets leave the caches as they change."""

from django.db import migrations

from stoa_cp.caching.triggers import announce_changes


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0003_meters"), ("stoa_cp", "0005_cache_leases")]

    operations = [
        announce_changes("apikeys_apikey", owner="tenant_id", changes="UPDATE OR DELETE"),
        # Not when it was last used.
        announce_changes("apikeys_keysecret", owner="key_id", changes="UPDATE OF digest, valid_until OR DELETE"),
    ]
