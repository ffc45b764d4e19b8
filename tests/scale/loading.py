"""Fills the database with all kinds of rows, in the order of their foreign keys."""

from django.db import connection

from tenants.models import Tenant
from tests.scale import apikeys, catalog, eventlog, metrics, subscriptions, tenants, webhooks
from tests.scale.copying import NO_TIMEOUT
from tests.scale.sizes import Sizes

KINDS = (tenants, catalog, subscriptions, apikeys, eventlog, webhooks, metrics)


def load_part(part: float) -> Sizes:
    """Load a part of a large installation, and return its sizes. Raises SystemExit if the database has tenants."""
    if Tenant.objects.exists():
        raise SystemExit("The database has tenants already. Load into an empty one.")
    sizes = Sizes.of_part(part)
    for kind in KINDS:
        kind.load(sizes)
    with connection.cursor() as cursor:
        cursor.execute(NO_TIMEOUT)
        # VACUUM as well: it sets the visibility map, without which an index-only scan reads the table.
        cursor.execute("VACUUM ANALYZE")
    return sizes
