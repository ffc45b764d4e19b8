"""Check the constraint of the restrictions on the rows that were there before it."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0009_key_restrictions")]

    operations = [ValidateConstraint("apikey", "apikey_restrictions_bounded")]
