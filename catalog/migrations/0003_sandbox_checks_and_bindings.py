"""Sandboxes and checks of upstreams; gateways bound to networks and tenants.

The caches follow the new columns. ``upstream_check_due_at`` alone changes no decision, and changes every five minutes:
a trigger for all columns would empty the caches each time.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models
from django.db.models.functions import Now

from stoa_cp.caching.triggers import announce_other_changes

# All columns of an API but ``upstream_check_due_at``; a test compares.
API_COLUMNS = (
    "id, tenant_id, name, description, upstream_url, sandbox_url, upstream_refused_at, path, api_version, auth_required,"
    " requests_per_hour, openapi_url, status, deprecated_at, sunset_at, created_at, updated_at, deleted_at, version"
)


class Migration(migrations.Migration):
    dependencies = [("catalog", "0002_announce_changes")]

    # Columns without a default, and one whose default is the same for all present rows: no table is rewritten.
    operations = [
        migrations.AddField("api", "sandbox_url", models.CharField(max_length=2048, null=True, blank=True)),
        migrations.AddField(
            "api", "upstream_refused_at", models.DateTimeField(null=True, blank=True, editable=False)
        ),
        migrations.AddField("api", "upstream_check_due_at", models.DateTimeField(db_default=Now(), editable=False)),
        migrations.AddField(
            "gateway", "allowed_ips", ArrayField(models.CharField(max_length=49), null=True, blank=True)
        ),
        migrations.AddField("gateway", "tenants", ArrayField(models.CharField(max_length=20), null=True, blank=True)),
        announce_other_changes(
            "catalog_api",
            owner="tenant_id",
            changes=f"INSERT OR UPDATE OF {API_COLUMNS} OR DELETE",
            before="INSERT OR UPDATE OR DELETE",
        ),
        announce_other_changes(
            "catalog_gateway",
            owner="id",
            changes="UPDATE OF token_digest, deleted_at, allowed_ips, tenants OR DELETE",
            before="UPDATE OF token_digest, deleted_at OR DELETE",
        ),
    ]
