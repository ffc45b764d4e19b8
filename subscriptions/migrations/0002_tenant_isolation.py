"""Make a subscription to another tenant's API, or under another tenant's plan, impossible to store."""

from django.db import migrations

FORWARD = """
ALTER TABLE subscriptions_subscription
    ADD CONSTRAINT subscription_api_same_tenant FOREIGN KEY (tenant_id, api_id)
        REFERENCES catalog_api (tenant_id, id) DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT subscription_plan_same_tenant FOREIGN KEY (tenant_id, plan_id)
        REFERENCES subscriptions_plan (tenant_id, id) DEFERRABLE INITIALLY DEFERRED;
"""
BACKWARD = """
ALTER TABLE subscriptions_subscription
    DROP CONSTRAINT subscription_api_same_tenant,
    DROP CONSTRAINT subscription_plan_same_tenant;
"""


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0001_initial"), ("catalog", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
