"""An index that counts a tenant's rows up to their bound. Built without a lock on writes: the table may be large."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("apikeys", "0007_leaked_secrets")]

    operations = [
        AddIndexConcurrently(
            "apikey",
            models.Index(fields=["tenant"], name="apikey_unrevoked", condition=models.Q(revoked_at=None)),
        ),
    ]
