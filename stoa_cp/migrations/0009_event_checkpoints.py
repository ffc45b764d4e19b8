"""Add the checkpoints of the event log: the signed head up to which each chain was verified."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("stoa_cp", "0008_operator_sessions")]

    operations = [
        migrations.CreateModel(
            "EventCheckpoint",
            fields=[
                ("tenant_id", models.CharField(db_collation="C", max_length=20, primary_key=True, serialize=False)),
                ("sequence", models.BigIntegerField()),
                ("hash", models.BinaryField(max_length=32)),
                ("at", models.CharField(max_length=20)),
                ("key_id", models.CharField(max_length=16)),
                ("signature", models.CharField(max_length=88)),
            ],
        ),
    ]
