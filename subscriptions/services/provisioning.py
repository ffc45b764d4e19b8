"""Sets up a new tenant: creates its default plans, then activates it.

Here and not in ``tenants``, because an app imports only what stands to its left, and plans belong to this app.
"""

from django.db import transaction

from stoa_cp.domain.actors import SYSTEM
from stoa_cp.domain.errors import NotFound
from subscriptions.models import Approval
from subscriptions.services.plans import NewPlan, create_plan
from tenants.models import Tenant, TenantStatus
from tenants.services import activate_tenant, lock_tenant

# `standard` is the specification's example: it waits for an approver, who grants 1,000 an hour and 50,000 a month.
DEFAULT_PLANS = (
    NewPlan("free", "Free", rate_limit=100, quota=10_000, approval=Approval.AUTOMATIC),
    NewPlan("standard", "Standard", rate_limit=1_000, quota=50_000),
    NewPlan("premium", "Premium", rate_limit=10_000, quota=1_000_000),
)


@transaction.atomic
def set_up_tenant(tenant: Tenant) -> None:
    """Give a new tenant its default plans, except for slugs that it uses already, and activate it.

    Does nothing to a tenant that is set up, suspended or deleted.
    """
    # Idempotent, because it is called from three places that may meet: the background task (which a broker may
    # deliver twice), the command that creates a tenant, and the first request for a subscription, which needs the
    # plans before the task has run. The lock makes the second caller wait; then it finds nothing to do.
    try:
        tenant = lock_tenant(tenant)
    except NotFound:
        return
    if tenant.status != TenantStatus.PROVISIONING:
        return
    own = set(tenant.plans.live().values_list("slug", flat=True))
    for new in DEFAULT_PLANS:
        if new.slug not in own:
            create_plan(tenant, new, by=SYSTEM)
    activate_tenant(tenant, by=SYSTEM)
