"""Make a series of another tenant's API or subscription impossible to store."""

from django.db import migrations

FORWARD = """
ALTER TABLE metrics_series
    ADD CONSTRAINT series_api_same_tenant FOREIGN KEY (tenant_id, api_id)
        REFERENCES catalog_api (tenant_id, id) DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT series_subscription_same_tenant FOREIGN KEY (tenant_id, subscription_id)
        REFERENCES subscriptions_subscription (tenant_id, id) DEFERRABLE INITIALLY DEFERRED;
"""
BACKWARD = """
ALTER TABLE metrics_series
    DROP CONSTRAINT series_api_same_tenant,
    DROP CONSTRAINT series_subscription_same_tenant;
"""


class Migration(migrations.Migration):
    dependencies = [("metrics", "0002_partitioned_rollups")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
