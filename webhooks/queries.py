"""Reads webhooks and deliveries."""

from django.db.models import QuerySet

from stoa_cp.domain.errors import NotFound
from tenants.models import Tenant
from webhooks.models import Delivery, Webhook


def list_webhooks(tenant: Tenant) -> QuerySet[Webhook]:
    """Return the webhooks that the tenant registered, without the callbacks of subscriptions."""
    webhooks: QuerySet[Webhook] = Webhook.objects.registered().filter(tenant=tenant)
    return webhooks


def list_deliveries(tenant: Tenant, webhook_id: str) -> QuerySet[Delivery]:
    """Return the deliveries to a webhook, with events and attempts, which every page shows.

    Raises NotFound if the tenant has no such webhook: a list without items would say that it exists.
    """
    webhook = list_webhooks(tenant).filter(pk=webhook_id).first()
    if webhook is None:
        raise NotFound
    return webhook.deliveries.select_related("event").prefetch_related("attempts")
