"""Keep the names of the actors that the event log names by id."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("stoa_cp", "0006_outbox_and_idempotency_records")]

    operations = [
        migrations.CreateModel(
            "ActorName",
            fields=[
                ("id", models.CharField(db_collation="C", max_length=255, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=150)),
            ],
        ),
    ]
