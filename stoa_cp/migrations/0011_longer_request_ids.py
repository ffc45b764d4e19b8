"""Give request ids of proxies room. PostgreSQL rewrites nothing when a varchar becomes longer."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("stoa_cp", "0010_counter_expiry")]

    operations = [migrations.AlterField("event", "request_id", models.CharField(blank=True, max_length=128))]
