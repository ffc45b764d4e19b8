"""An index that counts a tenant's keys and reads them in portions, in place of one that only counts.

Built without a lock on writes: the table may be large. The older release counts by the new one as well.
"""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("apikeys", "0011_secrets_pepper")]

    operations = [
        AddIndexConcurrently(
            "apikey",
            models.Index(
                fields=["tenant", "id"], name="apikey_unrevoked_by_id", condition=models.Q(revoked_at=None)
            ),
        ),
        RemoveIndexConcurrently("apikey", "apikey_unrevoked"),
    ]
