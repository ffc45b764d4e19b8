"""How the commands find the API that an operator names."""

from django.core.management.base import CommandError

from catalog.models import Api
from tenants.models import Tenant


def api_called(id_or_name: str, tenant: Tenant) -> Api:
    """Return the tenant's live API of this id or name. Raises CommandError, also if several versions share the name."""
    found = list(tenant.apis.live().named(id_or_name)[:2])
    if not found:
        raise CommandError(f"{tenant.name} has no API {id_or_name}.")
    if len(found) > 1:
        raise CommandError(f"{tenant.name} has several versions of {id_or_name}: name one by its id.")
    return found[0]
