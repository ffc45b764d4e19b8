"""When a webhook is disabled, what is said about it, and how it comes back."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.models import Event
from tenants.models import Tenant
from tests.conftest import Caller
from tests.webhooks.conftest import Drain, StartReceiver
from tests.webhooks.factories import DeliveryFactory, WebhookFactory, an_event
from tests.webhooks.receivers import Receiver, Reply
from tests.webhooks.sessions import holding
from webhooks.delivery.worker import DeliveryWorker
from webhooks.models import Attempt, Delivery, DeliveryStatus, Webhook, WebhookStatus
from webhooks.services import disable_webhook

pytestmark = pytest.mark.django_db


@pytest.fixture
def failing(webhook: Webhook, receiver: Receiver) -> Webhook:
    """A webhook whose receiver answers 500."""
    receiver.reply = Reply(500)
    return webhook


def test_410_disables_at_once(webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain) -> None:
    receiver.reply = Reply(410)
    an_event(acme)
    drain()
    webhook.refresh_from_db()
    assert (webhook.status, webhook.disabled_reason) == (WebhookStatus.DISABLED, "The receiver answered 410 Gone.")
    event = Event.objects.get(type="webhook.disabled")
    assert (event.tenant_id, event.actor, event.data["id"]) == (acme.id, SYSTEM.id, webhook.id)
    assert event.data["disabled_reason"] == webhook.disabled_reason
    an_event(acme)
    assert drain() == 0
    assert len(receiver.received) == 1


def test_410_in_the_midst_of_successes_disables_too(
    webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain
) -> None:
    replies = iter([Reply(200), Reply(410), Reply(200), Reply(200)])
    receiver.reply = lambda _request: next(replies)
    for _ in range(4):
        an_event(acme)
    drain()
    webhook.refresh_from_db()
    assert webhook.status == WebhookStatus.DISABLED


@pytest.mark.parametrize(
    ("failures_before", "since", "status", "reason"),
    [
        (19, timedelta(days=5, minutes=1), WebhookStatus.DISABLED, "No delivery succeeded for 5 days."),
        (18, timedelta(days=5, minutes=1), WebhookStatus.ENABLED, ""),
        (500, timedelta(days=4, hours=23), WebhookStatus.ENABLED, ""),
    ],
)
def test_five_days_and_twenty_failures_without_a_success_disable(
    failing: Webhook, failures_before: int, since: timedelta, status: WebhookStatus, reason: str
) -> None:
    Webhook.objects.update(failure_count=failures_before, failing_since=Now() - since)
    an_event(failing.tenant)
    with DeliveryWorker(threads=1) as worker:
        worker.drain()
    failing.refresh_from_db()
    assert (failing.status, failing.disabled_reason) == (status, reason)
    assert Event.objects.filter(type="webhook.disabled").count() == (status == WebhookStatus.DISABLED)


def test_failures_are_counted_and_one_success_forgets_them(
    webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain
) -> None:
    receiver.reply = Reply(500)
    for _ in range(3):
        an_event(acme)
    drain()
    webhook.refresh_from_db()
    assert webhook.failure_count == 3
    assert webhook.failing_since is not None
    version = webhook.version
    receiver.reply = Reply(200)
    an_event(acme)
    drain()
    webhook.refresh_from_db()
    assert (webhook.failure_count, webhook.failing_since, webhook.version) == (0, None, version)


def test_the_other_webhooks_are_told(
    webhook: Webhook, receiver: Receiver, start_receiver: StartReceiver, acme: Tenant, drain: Drain
) -> None:
    receiver.reply = Reply(410)
    other = start_receiver(Reply())
    WebhookFactory(tenant=acme, url=other.url, events=["webhook.disabled"])
    an_event(acme)
    drain()
    drain()
    assert [b'"type":"webhook.disabled"' in request.body for request in other.received] == [True]


def test_disabling_twice_is_once(webhook: Webhook) -> None:
    disable_webhook(webhook, "first", by=SYSTEM)
    disable_webhook(webhook, "second", by=SYSTEM)
    webhook.refresh_from_db()
    assert webhook.disabled_reason == "first"
    assert Event.objects.filter(type="webhook.disabled").count() == 1


def test_enabling_again_resumes_what_is_pending(
    webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain, alice: Caller
) -> None:
    receiver.reply = Reply(410)
    an_event(acme)
    drain()
    Delivery.objects.update(next_attempt_at=Now() - timedelta(seconds=1))
    receiver.reply = Reply(200)
    answer = alice.patch(f"/v1/tenants/acme/webhooks/{webhook.id}", {"status": "enabled"})
    assert (answer.json()["status"], answer.json()["disabled_reason"]) == ("enabled", "")
    drain()
    pending = Delivery.objects.get(event__type="tenant.updated")
    assert pending.status == DeliveryStatus.DELIVERED
    assert Attempt.objects.filter(delivery=pending).count() == 2
    webhook.refresh_from_db()
    assert (webhook.failure_count, webhook.failing_since) == (0, None)


def test_an_owner_may_disable_it(webhook: Webhook, acme: Tenant, drain: Drain, alice: Caller) -> None:
    answer = alice.patch(f"/v1/tenants/acme/webhooks/{webhook.id}", {"status": "disabled"}).json()
    assert answer["status"] == "disabled"
    assert answer["disabled_reason"].startswith("Disabled by ")
    event = Event.objects.get(type="webhook.disabled")
    assert event.changes == {"status": ["enabled", "disabled"]}
    an_event(acme)
    assert drain() == 0


def test_a_webhook_that_somebody_holds_delays_no_settlement(
    transactional_db: None, acme: Tenant, receiver: Receiver, drain: Drain
) -> None:
    """Remove SKIP LOCKED and the settlement waits until its lock time-out, and takes its whole batch with it."""
    webhook = WebhookFactory(tenant=acme, url=receiver.url)
    receiver.reply = Reply(500)
    DeliveryFactory(webhook=webhook)
    with holding(lambda: Webhook.objects.select_for_update().get(pk=webhook.pk)):
        assert drain() == 1
    webhook.refresh_from_db()
    assert (Attempt.objects.count(), webhook.failure_count) == (1, 0)
