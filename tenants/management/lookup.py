"""How the commands find the tenant that an operator names."""

from django.core.management.base import CommandError

from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import NotFound
from tenants.models import Tenant
from tenants.queries import find_tenant


def tenant_called(id_or_name: str, by: Actor) -> Tenant:
    """Return the live tenant of this id or name. Raises CommandError."""
    try:
        return find_tenant(by, id_or_name)
    except NotFound as error:
        raise CommandError(f"There is no tenant {id_or_name}.") from error
