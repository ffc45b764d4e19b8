"""The queue of deliveries: what a claim leases, for whom and how much of it, and what a settlement writes."""

from collections import Counter
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from stoa_cp.domain.actors import SYSTEM
from tenants.models import Tenant
from tests.races import at_once
from tests.webhooks.claims import AT, claim, outcome_of
from tests.webhooks.factories import DeliveryFactory, WebhookFactory
from tests.webhooks.sessions import holding
from webhooks.delivery.queue import LEASE_SECONDS, MAX_IN_FLIGHT_PER_WEBHOOK, DeliveryLease, settle
from webhooks.models import Attempt, Delivery, DeliveryStatus, Webhook, WebhookStatus
from webhooks.services import delete_webhook, update_webhook

pytestmark = pytest.mark.django_db

# --- Claim ---


def test_a_due_delivery_is_leased_with_all_that_sending_takes(webhook: Webhook) -> None:
    delivery = DeliveryFactory(webhook=webhook)
    (lease,) = claim(10)
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
    claim(10)
    left = Delivery.objects.annotate(now=Now()).get()
    assert LEASE_SECONDS == 30
    assert timedelta(seconds=29) < left.next_attempt_at - left.now <= timedelta(seconds=30)


def test_what_is_leased_is_not_claimed_again_until_its_lease_ends(webhook: Webhook) -> None:
    DeliveryFactory(webhook=webhook)
    (first,) = claim(10)
    assert claim(10) == []
    Delivery.objects.update(next_attempt_at=Now() - timedelta(seconds=1))
    (second,) = claim(10)
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
    assert claim(10) == []


def test_a_disabled_webhook_keeps_its_deliveries(webhook: Webhook) -> None:
    DeliveryFactory(webhook=webhook)
    Webhook.objects.update(status=WebhookStatus.DISABLED)
    assert claim(10) == []
    webhook.refresh_from_db()
    update_webhook(webhook, {"status": WebhookStatus.ENABLED}, by=SYSTEM)
    assert len(claim(10)) == 1


def test_a_deleted_webhook_is_sent_nothing(webhook: Webhook) -> None:
    DeliveryFactory(webhook=webhook)
    delete_webhook(webhook, by=SYSTEM)
    assert claim(10) == []
    assert Delivery.objects.get().status == DeliveryStatus.FAILED


def test_the_previous_secret_comes_along_while_its_overlap_lasts(webhook: Webhook) -> None:
    DeliveryFactory.create_batch(2, webhook=webhook)
    Webhook.objects.update(previous_secret=b"old", previous_secret_valid_until=Now() + timedelta(seconds=5))
    assert claim(1)[0].secrets == (bytes(webhook.secret), b"old")
    Webhook.objects.update(previous_secret_valid_until=Now() - timedelta(seconds=1))
    assert claim(1)[0].secrets == (bytes(webhook.secret),)


def test_at_most_four_are_in_flight_for_one_webhook(webhook: Webhook) -> None:
    DeliveryFactory.create_batch(10, webhook=webhook)
    assert len(claim(3)) == 3
    assert len(claim(10)) == 1
    assert claim(10) == []
    Delivery.objects.filter(token__isnull=False).update(next_attempt_at=Now() - timedelta(seconds=1))
    assert len(claim(10)) == 4


def test_the_oldest_go_first(webhook: Webhook) -> None:
    deliveries = DeliveryFactory.create_batch(6, webhook=webhook)
    for age, delivery in enumerate(deliveries):
        Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=Now() - timedelta(seconds=age))
    claimed = {lease.delivery_id for lease in claim(10)}
    assert claimed == {delivery.id for delivery in deliveries[2:]}


def test_a_long_queue_gets_no_more_than_its_turn(acme: Tenant) -> None:
    """A dead receiver's backlog is older than everything else, and still gets no more than its turn."""
    dead = WebhookFactory(tenant=acme)
    DeliveryFactory.create_batch(50, webhook=dead)
    Delivery.objects.update(next_attempt_at=Now() - timedelta(hours=1))
    healthy = WebhookFactory.create_batch(5, tenant=acme)
    for webhook in healthy:
        DeliveryFactory.create_batch(2, webhook=webhook)
    first_round = Counter(lease.webhook_id for lease in claim(6))
    assert first_round == Counter(webhook.id for webhook in [dead, *healthy])


# --- Two workers claim ---


def test_a_row_that_somebody_holds_is_skipped_not_waited_for(transactional_db: None, acme: Tenant) -> None:
    """Remove SKIP LOCKED and the claim waits until its lock time-out."""
    webhook = WebhookFactory(tenant=acme)
    held, free = DeliveryFactory.create_batch(2, webhook=webhook)
    with holding(lambda: Delivery.objects.select_for_update().get(pk=held.pk)):
        assert [lease.delivery_id for lease in claim(10)] == [free.id]


@pytest.mark.django_db(transaction=True)
def test_of_two_workers_at_once_nobody_gets_what_the_other_has(acme: Tenant) -> None:
    """Remove the advisory lock and a webhook has more than four in flight, sooner or later."""
    webhooks = WebhookFactory.create_batch(3, tenant=acme)
    for webhook in webhooks:
        DeliveryFactory.create_batch(40, webhook=webhook)
    for _ in range(10):
        leases = [lease for share in at_once(*[lambda: claim(10)] * 4) for lease in share]
        assert len({lease.delivery_id for lease in leases}) == len(leases) == 3 * MAX_IN_FLIGHT_PER_WEBHOOK
        assert set(Counter(lease.webhook_id for lease in leases).values()) == {MAX_IN_FLIGHT_PER_WEBHOOK}
        Delivery.objects.filter(token__isnull=False).update(
            token=None, status=DeliveryStatus.DELIVERED, next_attempt_at=None
        )


# --- Settle ---


def test_a_success_is_final(webhook: Webhook) -> None:
    delivery = DeliveryFactory(webhook=webhook)
    (lease,) = claim(1)
    assert settle([outcome_of(lease)]) == {delivery.id}
    delivery.refresh_from_db()
    assert (delivery.status, delivery.next_attempt_at, delivery.token) == ("delivered", None, None)
    attempt = delivery.attempts.get()
    assert (attempt.number, attempt.attempted_at, attempt.duration_ms) == (1, AT, 12)
    assert (attempt.response_status, attempt.error, attempt.response_excerpt) == (200, "", "ok")


def test_a_failure_waits_for_its_next_attempt(webhook: Webhook) -> None:
    delivery = DeliveryFactory(webhook=webhook)
    failure = {"status": DeliveryStatus.PENDING, "delay_seconds": 300.0, "response_status": None, "error": "timeout"}
    settle([outcome_of(claim(1)[0], **failure)])
    left = Delivery.objects.annotate(now=Now()).get()
    assert timedelta(seconds=299) < left.next_attempt_at - left.now <= timedelta(seconds=300)
    assert (left.status, left.token) == ("pending", None)
    assert delivery.attempts.get().response_status is None


def test_many_results_are_one_statement(webhook: Webhook, django_assert_num_queries: object) -> None:
    DeliveryFactory.create_batch(4, webhook=webhook)
    outcomes = [outcome_of(lease, excerpt=f"answer {lease.attempt}") for lease in claim(4)]
    with django_assert_num_queries(1):  # type: ignore[operator]  # a fixture of pytest-django
        assert len(settle(outcomes)) == 4
    assert Attempt.objects.count() == 4


@pytest.mark.parametrize("excerpt", ["", "a'b\"c\\d", "{1,2}", "NULL", "ligne\nligne", "✓ 😀", "x" * 12_000])
def test_any_excerpt_is_written_as_it_came(webhook: Webhook, excerpt: str) -> None:
    DeliveryFactory(webhook=webhook)
    settle([outcome_of(claim(1)[0], excerpt=excerpt)])
    assert Attempt.objects.get().response_excerpt == excerpt


def test_a_worker_that_was_away_too_long_settles_nothing(webhook: Webhook) -> None:
    """Remove the token from the statement and the zombie's failure overwrites the success."""
    DeliveryFactory(webhook=webhook)
    (zombies,) = claim(1)
    Delivery.objects.update(next_attempt_at=Now() - timedelta(seconds=1))
    (current,) = claim(1)
    assert settle([outcome_of(zombies, status=DeliveryStatus.FAILED, error="timeout")]) == set()
    assert settle([outcome_of(current)]) == {current.delivery_id}
    assert settle([outcome_of(zombies, status=DeliveryStatus.FAILED, error="timeout")]) == set()
    assert Delivery.objects.get().status == DeliveryStatus.DELIVERED
    assert [attempt.number for attempt in Attempt.objects.all()] == [2]


def test_one_stale_result_does_not_spoil_the_others(webhook: Webhook) -> None:
    DeliveryFactory.create_batch(2, webhook=webhook)
    stale, good = claim(2)
    Delivery.objects.filter(pk=stale.delivery_id).update(token=None)
    assert settle([outcome_of(stale), outcome_of(good)]) == {good.delivery_id}
