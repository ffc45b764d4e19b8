"""An index that reads a tenant's APIs in the order in which gateways match. Built without a lock on writes."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import F, Q
from django.db.models.functions import Length


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("catalog", "0005_tokens_pepper")]

    operations = [
        AddIndexConcurrently(
            "api",
            models.Index(
                F("tenant"), Length("path") * -1, F("id"), name="api_by_length", condition=Q(deleted_at=None)
            ),
        ),
    ]
