"""Store the replays that are under way; one for another tenant's webhook is impossible to store."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now

FORWARD = """
ALTER TABLE webhooks_replay
    ADD CONSTRAINT replay_webhook_same_tenant FOREIGN KEY (tenant_id, webhook_id)
        REFERENCES webhooks_webhook (tenant_id, id) DEFERRABLE INITIALLY DEFERRED;
"""
BACKWARD = "ALTER TABLE webhooks_replay DROP CONSTRAINT replay_webhook_same_tenant;"


class Migration(migrations.Migration):
    dependencies = [("tenants", "0001_initial"), ("webhooks", "0003_lanes")]

    operations = [
        migrations.CreateModel(
            name="Replay",
            fields=[
                (
                    "webhook",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="replay",
                        serialize=False,
                        to="webhooks.webhook",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="replays",
                        to="tenants.tenant",
                    ),
                ),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField()),
                ("next_sequence", models.BigIntegerField()),
                ("last_sequence", models.BigIntegerField()),
                ("continued_at", models.DateTimeField(db_default=Now())),
            ],
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
