"""An index of the keys whose expiry is to be announced, in place of one of all that expire. Built without a lock."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("apikeys", "0013_keys_by_status")]

    operations = [
        AddIndexConcurrently(
            "apikey",
            models.Index(
                fields=["expires_at"],
                name="apikey_to_announce",
                condition=Q(revoked_at=None)
                & (Q(announced_days=None) | Q(announced_days__gt=0))
                & Q(expires_at__isnull=False),
            ),
        ),
        # The older release's sweep reads all keys instead, for as long as it still runs: it is correct without.
        RemoveIndexConcurrently("apikey", "apikey_expiring"),
    ]
