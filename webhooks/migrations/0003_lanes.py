"""Index pending deliveries by lane, for claims that go lane by lane.

Concurrently: deliveries are written and claimed while the indexes are built, also by an older release.
"""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.expressions import CombinedExpression

LANE = CombinedExpression(
    models.Func(models.F("tenant_id"), function="hashtext", output_field=models.IntegerField()), "&", models.Value(15)
)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("webhooks", "0002_tenant_isolation")]

    operations = [
        AddIndexConcurrently(
            "delivery",
            models.Index(
                LANE, models.F("next_attempt_at"), name="delivery_due_in_lane", condition=models.Q(status="pending")
            ),
        ),
        AddIndexConcurrently(
            "delivery",
            models.Index(
                LANE, models.F("webhook"), name="delivery_webhooks_in_lane", condition=models.Q(status="pending")
            ),
        ),
    ]
