"""Claims: what is due, to whom it goes, how much of it at once, and that no two workers get the same."""

from collections import Counter
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from stoa_cp.domain.actors import SYSTEM
from tenants.models import Tenant
from tests.races import at_once
from tests.webhooks.factories import DeliveryFactory, WebhookFactory
from tests.webhooks.sessions import holding
from webhooks.delivery.queue import LEASE_SECONDS, MAX_IN_FLIGHT_PER_WEBHOOK, DeliveryLease, claim_due
from webhooks.models import Delivery, DeliveryStatus, Webhook, WebhookStatus
from webhooks.services import delete_webhook

pytestmark = pytest.mark.django_db


def test_a_due_delivery_is_leased_with_all_that_sending_takes(webhook: Webhook) -> None:
    delivery = DeliveryFactory(webhook=webhook)
    (lease,) = claim_due(10)
    delivery.refresh_from_db()
    assert lease == DeliveryLease(
        delivery_id=delivery.id,
        token=delivery.token,
        attempt=1,
        attempts_before=0,
        event_id=delivery.event_id,
        body=delivery.body,
        webhook_id=webhook.id,
        url=webhook.url,
        is_failing=False,
        secrets=(bytes(webhook.secret),),
    )


def test_a_lease_is_the_deadline_and_15_seconds_on_the_databases_clock(webhook: Webhook) -> None:
    DeliveryFactory(webhook=webhook)
    claim_due(10)
    left = Delivery.objects.annotate(now=Now()).get()
    assert LEASE_SECONDS == 30
    assert timedelta(seconds=29) < left.next_attempt_at - left.now <= timedelta(seconds=30)


def test_what_is_leased_is_not_claimed_again_until_its_lease_ends(webhook: Webhook) -> None:
    DeliveryFactory(webhook=webhook)
    (first,) = claim_due(10)
    assert claim_due(10) == []
    Delivery.objects.update(next_attempt_at=Now() - timedelta(seconds=1))
    (second,) = claim_due(10)
    assert (second.delivery_id, second.attempt) == (first.delivery_id, 2)
    assert second.token != first.token


@pytest.mark.parametrize(
    "state",
    [
        {"next_attempt_at": Now() + timedelta(seconds=5)},
        {"status": DeliveryStatus.DELIVERED, "next_attempt_at": None},
        {"status": DeliveryStatus.FAILED, "next_attempt_at": None},
    ],
    ids=["later", "delivered", "failed"],
)
def test_what_is_not_due_is_left_alone(webhook: Webhook, state: dict[str, object]) -> None:
    DeliveryFactory(webhook=webhook)
    Delivery.objects.update(**state)
    assert claim_due(10) == []


def test_a_disabled_webhook_keeps_its_deliveries(webhook: Webhook) -> None:
    DeliveryFactory(webhook=webhook)
    Webhook.objects.update(status=WebhookStatus.DISABLED)
    assert claim_due(10) == []
    Webhook.objects.update(status=WebhookStatus.ENABLED)
    assert len(claim_due(10)) == 1


def test_a_deleted_webhook_is_sent_nothing(webhook: Webhook) -> None:
    DeliveryFactory(webhook=webhook)
    delete_webhook(webhook, by=SYSTEM)
    assert claim_due(10) == []
    assert Delivery.objects.get().status == DeliveryStatus.FAILED


def test_the_previous_secret_comes_along_while_its_overlap_lasts(webhook: Webhook) -> None:
    DeliveryFactory.create_batch(2, webhook=webhook)
    Webhook.objects.update(previous_secret=b"old", previous_secret_valid_until=Now() + timedelta(seconds=5))
    assert claim_due(1)[0].secrets == (bytes(webhook.secret), b"old")
    Webhook.objects.update(previous_secret_valid_until=Now() - timedelta(seconds=1))
    assert claim_due(1)[0].secrets == (bytes(webhook.secret),)


def test_at_most_four_are_in_flight_for_one_webhook(webhook: Webhook) -> None:
    DeliveryFactory.create_batch(10, webhook=webhook)
    assert len(claim_due(3)) == 3
    assert len(claim_due(10)) == 1
    assert claim_due(10) == []
    Delivery.objects.filter(token__isnull=False).update(next_attempt_at=Now() - timedelta(seconds=1))
    assert len(claim_due(10)) == 4


def test_the_oldest_go_first(webhook: Webhook) -> None:
    deliveries = DeliveryFactory.create_batch(6, webhook=webhook)
    for age, delivery in enumerate(deliveries):
        Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=Now() - timedelta(seconds=age))
    claimed = {lease.delivery_id for lease in claim_due(10)}
    assert claimed == {delivery.id for delivery in deliveries[2:]}


def test_a_long_queue_leaves_room_for_everybody(acme: Tenant) -> None:
    """A dead receiver's backlog is older than everything else, and still gets no more than its turn."""
    dead = WebhookFactory(tenant=acme)
    DeliveryFactory.create_batch(50, webhook=dead)
    Delivery.objects.update(next_attempt_at=Now() - timedelta(hours=1))
    healthy = WebhookFactory.create_batch(5, tenant=acme)
    for webhook in healthy:
        DeliveryFactory.create_batch(2, webhook=webhook)
    first_round = Counter(lease.webhook_id for lease in claim_due(6))
    assert first_round == Counter(webhook.id for webhook in [dead, *healthy])


# --- Two workers ---


def test_a_row_that_somebody_holds_is_skipped_not_waited_for(transactional_db: None, acme: Tenant) -> None:
    """Remove SKIP LOCKED and the claim waits until its lock time-out."""
    webhook = WebhookFactory(tenant=acme)
    held, free = DeliveryFactory.create_batch(2, webhook=webhook)
    with holding(lambda: Delivery.objects.select_for_update().get(pk=held.pk)):
        assert [lease.delivery_id for lease in claim_due(10)] == [free.id]


@pytest.mark.django_db(transaction=True)
def test_of_two_workers_at_once_nobody_gets_what_the_other_has(acme: Tenant) -> None:
    """Remove the advisory lock and a webhook has more than four in flight, sooner or later."""
    webhooks = WebhookFactory.create_batch(5, tenant=acme)
    for webhook in webhooks:
        DeliveryFactory.create_batch(40, webhook=webhook)
    for _ in range(10):
        leases = [lease for share in at_once(*[lambda: claim_due(10)] * 4) for lease in share]
        assert len({lease.delivery_id for lease in leases}) == len(leases) == 5 * MAX_IN_FLIGHT_PER_WEBHOOK
        assert set(Counter(lease.webhook_id for lease in leases).values()) == {MAX_IN_FLIGHT_PER_WEBHOOK}
        Delivery.objects.filter(token__isnull=False).update(
            token=None, status=DeliveryStatus.DELIVERED, next_attempt_at=None
        )
