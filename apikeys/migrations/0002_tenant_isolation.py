"""Make a key for another tenant's subscription impossible to store."""

from django.db import migrations

FORWARD = """
ALTER TABLE apikeys_apikey
    ADD CONSTRAINT apikey_subscription_same_tenant FOREIGN KEY (tenant_id, subscription_id)
        REFERENCES subscriptions_subscription (tenant_id, id) DEFERRABLE INITIALLY DEFERRED;
"""
BACKWARD = "ALTER TABLE apikeys_apikey DROP CONSTRAINT apikey_subscription_same_tenant;"


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0001_initial"), ("subscriptions", "0002_tenant_isolation")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
