"""Workers that are killed or frozen at the worst moment: real processes against a real receiver."""

import signal
from collections import Counter
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from tenants.models import Tenant
from tests.waiting import wait_until
from tests.webhooks.conftest import Drain, StartReceiver
from tests.webhooks.factories import DeliveryFactory, WebhookFactory
from tests.webhooks.receivers import Receiver, Reply
from tests.webhooks.workers import worker
from webhooks.models import Attempt, Delivery, DeliveryStatus

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 20
SLOTS = 4


def end_leases() -> None:
    """Age what dead workers hold."""
    Delivery.objects.filter(token__isnull=False).update(next_attempt_at=Now() - timedelta(seconds=1))


@pytest.fixture
def receiver(start_receiver: StartReceiver) -> Receiver:
    return start_receiver(Reply(delay_seconds=0.05))


def test_killed_between_answer_and_settlement_nothing_is_lost(acme: Tenant, receiver: Receiver, drain: Drain) -> None:
    for webhook in WebhookFactory.create_batch(3, tenant=acme, url=receiver.url):
        DeliveryFactory.create_batch(20, webhook=webhook)
    kills = 3
    for kill in range(kills):
        with worker(SLOTS) as process:
            heard = len(receiver.received)
            wait_until(lambda heard=heard: len(receiver.received) >= heard + 8)  # type: ignore[misc]  # a default
            process.send_signal(signal.SIGKILL)
        end_leases()
        assert Delivery.objects.pending().exists(), f"all was delivered before kill {kill}"
    drain()
    assert set(Delivery.objects.values_list("status", flat=True)) == {DeliveryStatus.DELIVERED}
    heard_by_id = Counter(receiver.ids)
    assert len(heard_by_id) == 60
    assert sum(heard_by_id.values()) - 60 <= kills * (SLOTS + SLOTS // 2)


def test_a_frozen_worker_settles_nothing_when_it_resumes(acme: Tenant, receiver: Receiver, drain: Drain) -> None:
    receiver.reply = Reply(delay_seconds=1.0)
    deliveries = DeliveryFactory.create_batch(4, webhook=WebhookFactory(tenant=acme, url=receiver.url))
    with worker(SLOTS) as process:
        wait_until(lambda: len(receiver.received) == 4)
        process.send_signal(signal.SIGSTOP)
        end_leases()
        receiver.reply = Reply(200)
        drain()
        settled = list(Attempt.objects.values_list("delivery", "number", "duration_ms").order_by("pk"))
        assert sorted(row[:2] for row in settled) == sorted((delivery.id, 2) for delivery in deliveries)
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    assert list(Attempt.objects.values_list("delivery", "number", "duration_ms").order_by("pk")) == settled


def test_terminated_it_finishes_what_is_on_the_wire(acme: Tenant, receiver: Receiver) -> None:
    receiver.reply = Reply(delay_seconds=0.5)
    DeliveryFactory.create_batch(10, webhook=WebhookFactory(tenant=acme, url=receiver.url))
    with worker(SLOTS) as process:
        wait_until(lambda: len(receiver.received) > 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    assert Attempt.objects.count() == len(receiver.received) < 10
    assert not Delivery.objects.filter(token__isnull=False).exists()
