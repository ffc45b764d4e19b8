"""Webhooks and deliveries for tests, valid by default."""

from typing import Any

import factory
from django.db import transaction
from factory.django import DjangoModelFactory

from stoa_cp.crypto.encryption import encrypt
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.emit import emit
from stoa_cp.eventlog.models import Event, OutboxEntry
from tenants.models import Tenant
from tests.factories import TenantFactory
from webhooks.delivery.payloads import build_body
from webhooks.models import Delivery, Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class WebhookFactory(DjangoModelFactory[Webhook]):
    """An enabled webhook that wants everything, signed with ``SECRET``."""

    class Meta:
        model = Webhook

    tenant = factory.SubFactory(TenantFactory)
    url = "http://127.0.0.1:9/hook"
    events = factory.LazyFunction(lambda: ["*"])
    secret = factory.LazyFunction(lambda: encrypt(SECRET))


class DeliveryFactory(DjangoModelFactory[Delivery]):
    """A delivery that is due now."""

    class Meta:
        model = Delivery

    webhook = factory.SubFactory(WebhookFactory)
    tenant = factory.SelfAttribute("webhook.tenant")
    event = factory.LazyAttribute(lambda delivery: an_old_event(delivery.tenant))
    body = factory.LazyAttribute(lambda delivery: build_body(delivery.event))


def an_event(tenant: Tenant, event_type: str = "tenant.updated", **data: Any) -> Event:
    """Return an event that was emitted, and waits for its fan-out."""
    with transaction.atomic():
        return emit(event_type, tenant_id=tenant.id, actor=SYSTEM, data={"id": tenant.id, "version": 1} | data)


def an_old_event(tenant: Tenant, event_type: str = "tenant.updated", **data: Any) -> Event:
    """Return an event that was fanned out already."""
    event = an_event(tenant, event_type, **data)
    OutboxEntry.objects.filter(event=event).delete()
    return event
