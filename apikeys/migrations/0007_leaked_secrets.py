"""When a secret was found in public. Null for all there are; an older release does not read the column."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0006_meter_leases")]

    operations = [
        migrations.AddField("keysecret", "leaked_at", models.DateTimeField(blank=True, null=True)),
    ]
