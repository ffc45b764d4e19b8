"""Give rollups room for their distribution; those that are there get it when they are next folded or rebuilt."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metrics", "0003_tenant_isolation")]

    operations = [
        migrations.AddField(model, "distribution", models.BinaryField(null=True))
        for model in ("minutetraffic", "hourtraffic", "daytraffic")
    ]
