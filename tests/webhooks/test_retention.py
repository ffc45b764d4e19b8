"""Letting go of old deliveries."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from stoa_cp.eventlog.models import Event
from tenants.models import Tenant
from tests.webhooks.conftest import Drain
from tests.webhooks.factories import DeliveryFactory, WebhookFactory, an_event
from webhooks import tasks
from webhooks.models import Attempt, Delivery, DeliveryStatus, Webhook, WebhookStatus

pytestmark = pytest.mark.django_db

OLD = Now() - timedelta(days=30, minutes=1)


def test_what_ended_long_ago_goes_with_its_attempts_and_the_event_stays(
    webhook: Webhook, acme: Tenant, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.delivery.retention.DELETE_BATCH_SIZE", 2)
    for _ in range(5):
        an_event(acme)
    drain()
    Delivery.objects.update(created_at=OLD)
    young = DeliveryFactory(webhook=webhook)
    tasks.purge_expired()
    assert list(Delivery.objects.all()) == [young]
    assert not Attempt.objects.exists()
    assert Event.objects.count() == 6


def test_what_will_still_be_sent_stays(acme: Tenant) -> None:
    DeliveryFactory(webhook=WebhookFactory(tenant=acme, status=WebhookStatus.DISABLED))
    gone = WebhookFactory(tenant=acme)
    DeliveryFactory(webhook=gone)
    Webhook.objects.filter(pk=gone.pk).update(deleted_at=Now())
    Delivery.objects.update(created_at=OLD)
    tasks.purge_expired()
    assert [delivery.status for delivery in Delivery.objects.all()] == [DeliveryStatus.PENDING]
    assert not gone.deliveries.exists()
