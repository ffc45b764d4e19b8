"""The deletion of old deliveries, and of webhooks that were deleted."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from pytest_django import Settings

from stoa_cp.eventlog.models import Event
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests.factories import SubscriptionFactory
from tests.webhooks.conftest import Drain
from tests.webhooks.factories import DeliveryFactory, WebhookFactory, an_event
from tests.webhooks.sessions import holding
from webhooks import tasks
from webhooks.delivery.retention import delete_deleted_webhooks, delete_old_deliveries
from webhooks.models import Attempt, Delivery, DeliveryStatus, Webhook, WebhookStatus

pytestmark = pytest.mark.django_db


@pytest.fixture
def subscription(acme: Tenant) -> Subscription:
    return SubscriptionFactory(tenant=acme, active=True)


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


def test_what_is_still_sent_stays_and_backlogs_that_are_not_go(acme: Tenant) -> None:
    sent = DeliveryFactory(webhook=WebhookFactory(tenant=acme))
    disabled = DeliveryFactory(webhook=WebhookFactory(tenant=acme, status=WebhookStatus.DISABLED))
    young = DeliveryFactory(webhook=disabled.webhook)
    deleted = DeliveryFactory(webhook=WebhookFactory(tenant=acme, deleted_at=Now()))
    Delivery.objects.exclude(pk=young.pk).update(created_at=OLD)
    tasks.purge_expired()
    assert set(Delivery.objects.all()) == {sent, young}
    assert deleted.webhook != disabled.webhook


def test_what_stays_does_not_hide_what_goes(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of one moment: a batch that began at a time instead of a row would find the same rows for ever."""
    monkeypatch.setattr("webhooks.delivery.retention.DELETE_BATCH_SIZE", 2)
    DeliveryFactory.create_batch(5, webhook=webhook)
    ended = DeliveryFactory.create_batch(5, webhook=webhook, status=DeliveryStatus.FAILED, next_attempt_at=None)
    Delivery.objects.update(created_at=OLD)
    assert delete_old_deliveries() == len(ended)
    assert Delivery.objects.pending().count() == Delivery.objects.count() == 5


def test_a_run_ends_in_time_and_the_next_one_goes_on(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhooks.delivery.retention.DELETE_BATCH_SIZE", 2)
    DeliveryFactory.create_batch(3, webhook=webhook, status=DeliveryStatus.FAILED, next_attempt_at=None)
    Delivery.objects.update(created_at=OLD)
    assert delete_old_deliveries(seconds=-1) == 0
    assert delete_old_deliveries() == 3


def test_the_retention_is_a_setting(webhook: Webhook, settings: Settings) -> None:
    DeliveryFactory(webhook=webhook, status=DeliveryStatus.FAILED, next_attempt_at=None)
    Delivery.objects.update(created_at=OLD)
    settings.STOA_DELIVERY_RETENTION_DAYS = 31
    tasks.purge_expired()
    assert Delivery.objects.exists()


def test_deleted_webhooks_go_once_their_deliveries_are_gone(acme: Tenant, subscription: Subscription) -> None:
    live, young, with_deliveries = WebhookFactory.create_batch(3, tenant=acme)
    old = WebhookFactory(tenant=acme)
    callback = WebhookFactory(tenant=acme, subscription=subscription)
    DeliveryFactory(webhook=with_deliveries, status=DeliveryStatus.FAILED, next_attempt_at=None)
    Webhook.objects.filter(pk=young.pk).update(deleted_at=Now())
    Webhook.objects.filter(pk__in=[old.pk, callback.pk, with_deliveries.pk]).update(deleted_at=OLD)
    tasks.purge_expired()
    assert set(Webhook.objects.all()) == {live, young, with_deliveries}
    Delivery.objects.update(created_at=OLD)
    tasks.purge_expired()
    assert set(Webhook.objects.all()) == {live, young}


@pytest.mark.django_db(transaction=True)
def test_a_callback_that_is_used_again_is_not_deleted(acme: Tenant, subscription: Subscription) -> None:
    """Without the lock the sweep deletes a row that it read as deleted, after it was used again."""
    callback = WebhookFactory(tenant=acme, subscription=subscription)
    Webhook.objects.update(deleted_at=OLD)
    with holding(lambda: Webhook.objects.filter(pk=callback.pk).update(deleted_at=None)):
        assert delete_deleted_webhooks() == 0
    assert Webhook.objects.live().exists()
