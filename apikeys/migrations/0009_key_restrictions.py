"""Where a key may be used. Nullable columns: an older release inserts keys without them, which are for anywhere."""

import django.contrib.postgres.fields
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

import stoa_cp.db.fields


def restriction(name, base_field):
    field = django.contrib.postgres.fields.ArrayField(base_field, blank=True, editable=False, null=True)
    return migrations.AddField("apikey", name, field)


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0008_count_unrevoked_keys")]

    operations = [
        restriction("allowed_ips", stoa_cp.db.fields.NetworkField()),
        restriction("allowed_methods", models.TextField()),
        restriction("allowed_paths", models.TextField()),
        # Not valid yet: with a check of the rows that there are, calls would wait for the table. The next migration
        # checks them, without a lock that calls wait for.
        AddConstraintNotValid(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(allowed_ips__len__range=(1, 50))
                & models.Q(allowed_methods__len__range=(1, 50))
                & models.Q(allowed_paths__len__range=(1, 50)),
                name="apikey_restrictions_bounded",
            ),
        ),
    ]
