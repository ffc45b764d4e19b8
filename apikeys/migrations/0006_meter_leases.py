"""Call the leases of a meter what they are. The column and its values keep the names that they have."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0005_meter_loans")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameField("meter", "loans", "leases"),
                migrations.AlterField(
                    "meter",
                    "leases",
                    models.CharField(
                        choices=[("none", "None"), ("out", "Out"), ("recalled", "Recalled")],
                        db_column="loans",
                        db_default="none",
                        default="none",
                        editable=False,
                        max_length=8,
                    ),
                ),
            ],
        ),
    ]
