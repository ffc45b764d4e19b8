"""Check the constraint of the dimensions on the rows that were there before it."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("metrics", "0007_modes")]

    operations = [ValidateConstraint("series", "series_names_its_grain")]
