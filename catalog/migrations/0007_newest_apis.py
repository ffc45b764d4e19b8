"""Indexes for the console's list of APIs. Built without a lock on writes."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("catalog", "0006_apis_by_length")]

    operations = [
        AddIndexConcurrently("api", models.Index(fields=["-created_at", "-id"], name="api_of_all_newest_first")),
        AddIndexConcurrently("api", models.Index(fields=["name"], name="api_by_name")),
    ]
