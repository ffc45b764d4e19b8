"""Tell test traffic apart: the mode of a delta, and dimensions of test calls."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q

CHOICES = [
    ("tenant", "Tenant"),
    ("api", "API"),
    ("subscription", "Subscription"),
    ("test-tenant", "Tenant, test calls"),
    ("test-api", "API, test calls"),
    ("test-sub", "Subscription, test calls"),
]


class Migration(migrations.Migration):
    dependencies = [("metrics", "0006_partition_functions")]

    operations = [
        # A constant default: no row is written.
        migrations.AddField(
            "trafficdelta",
            "mode",
            models.CharField(
                choices=[("live", "Live"), ("test", "Test")], db_default="live", default="live", max_length=8
            ),
        ),
        migrations.AlterField(
            "series", "dimension", models.CharField(choices=CHOICES, db_column="grain", max_length=16)
        ),
        migrations.RemoveConstraint("series", "series_names_its_grain"),
        # All present rows obey it; the next migration checks them without a lock that folds wait for.
        AddConstraintNotValid(
            "series",
            models.CheckConstraint(
                condition=Q(dimension__in=("tenant", "test-tenant"), api=None, subscription=None)
                | Q(dimension__in=("api", "test-api"), api__isnull=False, subscription=None)
                | Q(dimension__in=("subscription", "test-sub"), api__isnull=False),
                name="series_names_its_grain",
            ),
        ),
    ]
