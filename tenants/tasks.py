"""Background work on tenants: the doorbell after a creation, and the sweep that finds what it missed."""

from celery import shared_task

from subscriptions.services import provisioning
from tenants.queries import live_tenant, waiting_tenants


@shared_task(name="tenants.set_up_tenant")
def set_up_tenant(tenant_id: str) -> None:
    """Set up one new tenant."""
    tenant = live_tenant(tenant_id)
    if tenant:
        provisioning.set_up_tenant(tenant)


@shared_task(name="tenants.set_up_waiting_tenants")
def set_up_waiting_tenants() -> None:
    """Set up the tenants whose doorbell was lost."""
    for tenant in waiting_tenants():
        provisioning.set_up_tenant(tenant)
