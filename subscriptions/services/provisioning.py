"""Sets up a new tenant: gives it its default plans, then opens it."""

from django.db import transaction

from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Approval, Plan
from subscriptions.services.plans import NewPlan, create_plan
from tenants.models import Tenant, TenantStatus
from tenants.services import activate_tenant

DEFAULT_PLANS = (
    NewPlan("free", "Free", rate_limit=100, quota=10_000, approval=Approval.AUTOMATIC),
    NewPlan("standard", "Standard", rate_limit=1_000, quota=50_000),
    NewPlan("premium", "Premium", rate_limit=10_000, quota=1_000_000),
)


@transaction.atomic
def set_up_tenant(tenant_id: str) -> None:
    """Give a new tenant its default plans, but for those that it has made itself, and open it.

    Does nothing the second time, or to a deleted tenant.
    """
    tenant = Tenant.objects.live().select_for_update(no_key=True).filter(id=tenant_id).first()
    if tenant is None or tenant.status != TenantStatus.PROVISIONING:
        return
    own = set(Plan.objects.live().filter(tenant=tenant).values_list("slug", flat=True))
    for new in DEFAULT_PLANS:
        if new.slug not in own:
            create_plan(tenant, new, by=SYSTEM)
    activate_tenant(tenant, by=SYSTEM)
