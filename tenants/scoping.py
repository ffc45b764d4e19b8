"""The viewset for everything that lives inside a tenant."""

from django.db.models import Model
from rest_framework.request import Request

from stoa_cp.rest.api_call import api_call_of
from stoa_cp.rest.viewsets import ControlPlaneViewSet
from tenants.models import Tenant
from tenants.queries import find_tenant
from tenants.services import lock_tenant


class TenantScopedViewSet(ControlPlaneViewSet):
    """Finds ``self.tenant`` from the path before roles are checked: a stranger gets 404, a colleague 403."""

    tenant: Tenant

    def check_permissions(self, request: Request) -> None:
        known = api_call_of(request).tenant
        self.tenant = find_tenant(
            self.actor, self.kwargs["tenant_id"], known=known if isinstance(known, Tenant) else None
        )
        super().check_permissions(request)

    def check_precondition(self, resource: Model) -> None:
        lock_tenant(self.tenant)  # before the row that If-Match names: the order of locks begins with the tenant
        super().check_precondition(resource)

    @property
    def canonical_path(self) -> str:
        """The path with the tenant's id: by name, a later tenant of the same name would find this one's answers."""
        return self.request.path.replace(f"/tenants/{self.kwargs['tenant_id']}", f"/tenants/{self.tenant.id}", 1)
