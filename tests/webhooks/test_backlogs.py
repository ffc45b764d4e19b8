"""Claims beside long backlogs: what cannot be sent hides nothing, and costs nothing."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.models import OutboxEntry
from tenants.models import Tenant
from tests.factories import SubscriptionFactory, TenantFactory
from tests.webhooks.claims import claim
from tests.webhooks.conftest import Drain
from tests.webhooks.factories import DeliveryFactory, WebhookFactory, an_event
from tests.webhooks.sessions import holding
from tests.webhooks.test_fairness import lane_of
from webhooks.delivery.fan_out import fan_out_events
from webhooks.delivery.queue import _due_lanes
from webhooks.models import Delivery, Webhook, WebhookStatus
from webhooks.services import update_webhook

pytestmark = pytest.mark.django_db

LookAtFew = Callable[[int], None]


@pytest.fixture
def look_at(monkeypatch: pytest.MonkeyPatch) -> LookAtFew:
    """Return a function that lets a claim look at so many candidates only."""
    return lambda count: monkeypatch.setattr("webhooks.delivery.queue.CANDIDATES", count)


def enable(webhook: Webhook) -> None:
    update_webhook(webhook, {"status": WebhookStatus.ENABLED}, by=SYSTEM)


def a_saturated_webhook(tenant: Tenant) -> Webhook:
    """Return a webhook with four in flight, and ten that have been due for an hour."""
    webhook = WebhookFactory(tenant=tenant)
    DeliveryFactory.create_batch(14, webhook=webhook)
    assert len(claim(10)) == 4
    webhook.deliveries.filter(token=None).update(next_attempt_at=Now() - timedelta(hours=1))
    return webhook


def test_an_older_backlog_that_cannot_be_sent_hides_nothing(acme: Tenant, look_at: LookAtFew) -> None:
    """Without the walk over webhooks the claim looks at the oldest deliveries only, and finds none to send."""
    look_at(5)
    a_saturated_webhook(acme)
    healthy = DeliveryFactory(webhook=WebhookFactory(tenant=acme))
    assert [lease.delivery_id for lease in claim(10)] == [healthy.id]


def test_every_webhook_is_found_wherever_a_walk_begins(acme: Tenant, look_at: LookAtFew) -> None:
    """Without the second round, from the beginning of the index, the first ids are hardly ever found."""
    look_at(5)
    tenants = (tenant for tenant in iter(TenantFactory, None) if lane_of(tenant) == lane_of(acme))
    a_saturated_webhook(acme)
    for tenant, _number in zip(tenants, range(6), strict=False):
        DeliveryFactory(webhook=WebhookFactory(tenant=tenant))
    found: set[str] = set()
    for _turn in range(40):
        found |= {lease.webhook_id for lease in claim(10)}
    assert len(found) == 6


def test_one_webhook_alone_is_walked_once(acme: Tenant, look_at: LookAtFew) -> None:
    look_at(2)
    webhook = WebhookFactory(tenant=acme)
    DeliveryFactory.create_batch(3, webhook=webhook)
    assert len(claim(10)) == 3


def test_a_worker_with_nothing_to_do_sends_one_statement(webhook: Webhook, drain: Drain) -> None:
    DeliveryFactory.create_batch(20, webhook=webhook, next_attempt_at=Now() + timedelta(hours=20))
    OutboxEntry.objects.all().delete()
    with CaptureQueriesContext(connection) as statements:
        assert drain() == 0
    assert len(statements) == 1


# --- Webhooks that are disabled ---


def test_the_backlog_of_a_disabled_webhook_is_due_once_and_not_again_and_again(webhook: Webhook) -> None:
    DeliveryFactory.create_batch(3, webhook=webhook)
    Webhook.objects.update(status=WebhookStatus.DISABLED)
    assert _due_lanes() == [lane_of(webhook.tenant)]
    assert claim(10) == []
    assert _due_lanes() == []


def test_enabling_makes_a_backlog_due_at_once(webhook: Webhook) -> None:
    DeliveryFactory.create_batch(3, webhook=webhook)
    Webhook.objects.update(status=WebhookStatus.DISABLED)
    claim(10)
    webhook.refresh_from_db()
    enable(webhook)
    assert len(claim(10)) == 3


def test_enabling_makes_the_oldest_of_a_very_long_backlog_due(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.delivery.queue.RESUMED_AT_ONCE", 2)
    DeliveryFactory.create_batch(3, webhook=webhook)
    Webhook.objects.update(status=WebhookStatus.DISABLED)
    claim(10)
    webhook.refresh_from_db()
    enable(webhook)
    assert len(claim(10)) == 2


def test_a_callback_that_gets_another_url_resumes(acme: Tenant) -> None:
    subscription = SubscriptionFactory(
        tenant=acme, active=True, callback_url="https://new.example.com/", callback_secret=b"secret"
    )
    callback = WebhookFactory(tenant=acme, subscription=subscription, status=WebhookStatus.DISABLED)
    delivery = DeliveryFactory(webhook=callback)
    assert claim(10) == []
    an_event(acme, "subscription.updated", id=subscription.id)
    fan_out_events()
    assert delivery.id in {lease.delivery_id for lease in claim(10)}


@pytest.mark.django_db(transaction=True)
def test_a_webhook_that_is_being_enabled_is_not_put_off(acme: Tenant) -> None:
    """Without the lock on the webhook, its backlog waits for an hour although it is enabled."""
    webhook = WebhookFactory(tenant=acme, status=WebhookStatus.DISABLED)
    DeliveryFactory(webhook=webhook)
    with holding(lambda: Webhook.objects.filter(pk=webhook.pk).update(status=WebhookStatus.ENABLED)):
        assert claim(10) == []
    assert len(claim(10)) == 1
    assert Delivery.objects.get().attempt == 1
