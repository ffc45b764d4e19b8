"""What the commands call an API."""

from django.core.management.base import CommandError
from django.db.models import Q

from catalog.models import Api
from tenants.models import Tenant


def api_called(id_or_name: str, tenant: Tenant) -> Api:
    """Return the tenant's live API of this id or name. Raises CommandError, also if versions share the name."""
    found = list(Api.objects.live().filter(Q(id=id_or_name) | Q(name=id_or_name), tenant=tenant)[:2])
    if not found:
        raise CommandError(f"{tenant.name} has no API {id_or_name}.")
    if len(found) > 1:
        raise CommandError(f"{tenant.name} has several versions of {id_or_name}: name one by its id.")
    return found[0]
