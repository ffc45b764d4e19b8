"""Make a delivery to another tenant's webhook, or a callback for another tenant's subscription, impossible to store."""

from django.db import migrations

FORWARD = """
ALTER TABLE webhooks_webhook
    ADD CONSTRAINT webhook_subscription_same_tenant FOREIGN KEY (tenant_id, subscription_id)
        REFERENCES subscriptions_subscription (tenant_id, id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE webhooks_delivery
    ADD CONSTRAINT delivery_webhook_same_tenant FOREIGN KEY (tenant_id, webhook_id)
        REFERENCES webhooks_webhook (tenant_id, id) DEFERRABLE INITIALLY DEFERRED;
"""
BACKWARD = """
ALTER TABLE webhooks_webhook DROP CONSTRAINT webhook_subscription_same_tenant;
ALTER TABLE webhooks_delivery DROP CONSTRAINT delivery_webhook_same_tenant;
"""


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0001_initial"), ("subscriptions", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
