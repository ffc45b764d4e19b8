"""Call the dimension of a series and the histogram of a rollup what they are. The columns keep the names that they have."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("metrics", "0004_distributions")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                # RenameField leaves the fields of constraints as they are.
                migrations.RemoveConstraint("series", "series_unique"),
                migrations.RemoveConstraint("series", "series_names_its_grain"),
                migrations.RenameField("series", "grain", "dimension"),
                migrations.AlterField(
                    "series",
                    "dimension",
                    models.CharField(
                        choices=[("tenant", "Tenant"), ("api", "API"), ("subscription", "Subscription")],
                        db_column="grain",
                        max_length=16,
                    ),
                ),
                migrations.AddConstraint(
                    "series",
                    models.UniqueConstraint(
                        fields=("tenant", "dimension", "api", "subscription"),
                        name="series_unique",
                        nulls_distinct=False,
                    ),
                ),
                migrations.AddConstraint(
                    "series",
                    models.CheckConstraint(
                        condition=Q(dimension="tenant", api=None, subscription=None)
                        | Q(dimension="api", api__isnull=False, subscription=None)
                        | Q(dimension="subscription", api__isnull=False),
                        name="series_names_its_grain",
                    ),
                ),
                *(
                    operation
                    for model in ("minutetraffic", "hourtraffic", "daytraffic")
                    for operation in (
                        migrations.RenameField(model, "distribution", "histogram"),
                        migrations.AlterField(
                            model, "histogram", models.BinaryField(db_column="distribution", null=True)
                        ),
                    )
                ),
            ],
        ),
    ]
