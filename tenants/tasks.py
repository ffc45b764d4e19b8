"""Celery tasks that set up new tenants: one is sent after each creation, and a sweep finds what was not sent."""

from celery import shared_task

from subscriptions.services import provisioning
from tenants.queries import live_tenant, waiting_tenants


@shared_task(name="tenants.set_up_tenant")
def set_up_tenant(tenant_id: str) -> None:
    """Set up one new tenant. Does nothing if it is set up, deleted or unknown."""
    tenant = live_tenant(tenant_id)
    if tenant:
        provisioning.set_up_tenant(tenant)


@shared_task(name="tenants.set_up_waiting_tenants")
def set_up_waiting_tenants() -> None:
    """Set up the tenants whose own task was lost: the broker was away, or a worker died."""
    for tenant in waiting_tenants():
        provisioning.set_up_tenant(tenant)
