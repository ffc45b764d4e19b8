"""Settling: what is written of an attempt, and that only the holder of the lease writes it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models.functions import Now

from tests.webhooks.factories import DeliveryFactory
from webhooks.delivery.queue import DeliveryLease, Outcome, claim_due, settle
from webhooks.models import Attempt, Delivery, DeliveryStatus, Webhook

pytestmark = pytest.mark.django_db

AT = datetime(2026, 1, 9, 10, 30, tzinfo=UTC)


def outcome_of(lease: DeliveryLease, **fields: object) -> Outcome:
    success = {
        "status": DeliveryStatus.DELIVERED,
        "delay_seconds": None,
        "response_status": 200,
        "error": "",
        "excerpt": "ok",
    }
    return Outcome(lease=lease, started_at=AT, duration_ms=12, **success | fields)  # type: ignore[arg-type]  # a mix


def test_a_success_is_final(webhook: Webhook) -> None:
    delivery = DeliveryFactory(webhook=webhook)
    (lease,) = claim_due(1)
    assert settle([outcome_of(lease)]) == {delivery.id}
    delivery.refresh_from_db()
    assert (delivery.status, delivery.next_attempt_at, delivery.token) == ("delivered", None, None)
    attempt = delivery.attempts.get()
    assert (attempt.number, attempt.attempted_at, attempt.duration_ms) == (1, AT, 12)
    assert (attempt.response_status, attempt.error, attempt.response_excerpt) == (200, "", "ok")


def test_a_failure_waits_for_its_next_attempt(webhook: Webhook) -> None:
    delivery = DeliveryFactory(webhook=webhook)
    failure = {"status": DeliveryStatus.PENDING, "delay_seconds": 300.0, "response_status": None, "error": "timeout"}
    settle([outcome_of(claim_due(1)[0], **failure)])
    left = Delivery.objects.annotate(now=Now()).get()
    assert timedelta(seconds=299) < left.next_attempt_at - left.now <= timedelta(seconds=300)
    assert (left.status, left.token) == ("pending", None)
    assert delivery.attempts.get().response_status is None


def test_many_results_are_one_statement(webhook: Webhook, django_assert_num_queries: object) -> None:
    DeliveryFactory.create_batch(4, webhook=webhook)
    outcomes = [outcome_of(lease, excerpt=f"answer {lease.attempt}") for lease in claim_due(4)]
    with django_assert_num_queries(1):  # type: ignore[operator]  # a fixture of pytest-django
        assert len(settle(outcomes)) == 4
    assert Attempt.objects.count() == 4


@pytest.mark.parametrize("excerpt", ["", "a'b\"c\\d", "{1,2}", "NULL", "ligne\nligne", "✓ 😀", "x" * 12_000])
def test_any_excerpt_is_written_as_it_came(webhook: Webhook, excerpt: str) -> None:
    DeliveryFactory(webhook=webhook)
    settle([outcome_of(claim_due(1)[0], excerpt=excerpt)])
    assert Attempt.objects.get().response_excerpt == excerpt


def test_a_worker_that_was_away_too_long_settles_nothing(webhook: Webhook) -> None:
    """Remove the token from the statement and the zombie's failure overwrites the success."""
    DeliveryFactory(webhook=webhook)
    (zombies,) = claim_due(1)
    Delivery.objects.update(next_attempt_at=Now() - timedelta(seconds=1))
    (current,) = claim_due(1)
    assert settle([outcome_of(zombies, status=DeliveryStatus.FAILED, error="timeout")]) == set()
    assert settle([outcome_of(current)]) == {current.delivery_id}
    assert settle([outcome_of(zombies, status=DeliveryStatus.FAILED, error="timeout")]) == set()
    assert Delivery.objects.get().status == DeliveryStatus.DELIVERED
    assert [attempt.number for attempt in Attempt.objects.all()] == [2]


def test_one_stale_result_does_not_spoil_the_others(webhook: Webhook) -> None:
    DeliveryFactory.create_batch(2, webhook=webhook)
    stale, good = claim_due(2)
    Delivery.objects.filter(pk=stale.delivery_id).update(token=None)
    assert settle([outcome_of(stale), outcome_of(good)]) == {good.delivery_id}
