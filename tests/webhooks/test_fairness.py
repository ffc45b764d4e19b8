"""No tenant keeps the deliveries of another waiting: bounds in flight, turns, and claims lane by lane."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from time import monotonic

import pytest
from django.db import OperationalError, connection
from django.db.models import Count
from django.db.models.functions import Now
from pytest_django import Settings

from stoa_cp.eventlog.models import OutboxEntry
from tenants.models import Tenant
from tests.databases import LOCK_EVENT_CHAIN
from tests.factories import PlanFactory, SubscriptionFactory, TenantFactory
from tests.races import at_once
from tests.waiting import wait_until
from tests.webhooks.claims import claim, outcome_of
from tests.webhooks.conftest import StartRawReceiver
from tests.webhooks.factories import DeliveryFactory, WebhookFactory, an_event
from tests.webhooks.receivers import Receiver, silent
from tests.webhooks.sessions import holding
from tests.webhooks.workers import worker
from webhooks import tasks
from webhooks.delivery.fan_out import fan_out_events
from webhooks.delivery.health import settle_attempts
from webhooks.delivery.lanes import CLAIM_LOCK
from webhooks.delivery.queue import MAX_IN_FLIGHT_PER_WEBHOOK, DeliveryLease, Outcome
from webhooks.delivery.worker import DeliveryWorker
from webhooks.models import LANES, Delivery, DeliveryStatus, Webhook, WebhookStatus

PER_TENANT = 16
# Less than one attempt at a receiver that never answers (15 s), and far more than a delivery takes on a busy machine.
PROMPTLY_SECONDS = 8


def lane_of(tenant: Tenant) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT hashtext(%s) & %s", [tenant.id, LANES - 1])
        (lane,) = cursor.fetchone()
    return int(lane)


def two_lanes() -> tuple[Tenant, Tenant]:
    """Return two tenants in different lanes."""
    first = TenantFactory()
    return first, next(tenant for tenant in iter(TenantFactory, None) if lane_of(tenant) != lane_of(first))


def callbacks(tenant: Tenant, count: int, url: str) -> list[Webhook]:
    plan = PlanFactory(tenant=tenant)
    subscriptions = SubscriptionFactory.create_batch(count, tenant=tenant, plan=plan)
    return [WebhookFactory(tenant=tenant, subscription=subscription, url=url) for subscription in subscriptions]


def execute(statement: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


# --- A tenant whose receivers never answer ---


@pytest.mark.deadline
@pytest.mark.django_db(transaction=True)
def test_callbacks_that_never_answer_delay_no_other_tenant(
    webhook: Webhook, receiver: Receiver, start_raw_receiver: StartRawReceiver, acme: Tenant, globex: Tenant
) -> None:
    dead = start_raw_receiver(silent)
    for each in [*callbacks(globex, 110, dead.url), *WebhookFactory.create_batch(20, tenant=globex, url=dead.url)]:
        DeliveryFactory(webhook=each)
    with worker(threads=2 * PER_TENANT):
        wait_until(lambda: dead.connections >= PER_TENANT, "the dead ones are tried")
        event = an_event(acme)
        took = wait_until(lambda: bool(receiver.received), "the other tenant's is delivered", seconds=60)
        assert dead.connections == PER_TENANT
    assert receiver.ids == [event.id]
    assert took < PROMPTLY_SECONDS


# --- The bound per tenant ---


@pytest.mark.django_db
def test_callbacks_and_webhooks_count_together(acme: Tenant, settings: Settings) -> None:
    settings.STOA_DELIVERIES_PER_TENANT = 5
    for webhook in [*callbacks(acme, 4, "http://127.0.0.1:9/"), *WebhookFactory.create_batch(4, tenant=acme)]:
        DeliveryFactory.create_batch(2, webhook=webhook)
    first, second = claim(3), claim(10)
    assert (len(first), len(second), claim(10)) == (3, 2, [])
    # By turns: no webhook has two while another has none.
    assert set(Counter(lease.webhook_id for lease in [*first, *second]).values()) == {1}


@pytest.mark.django_db
def test_a_place_is_free_again_once_its_lease_has_ended(acme: Tenant, settings: Settings) -> None:
    settings.STOA_DELIVERIES_PER_TENANT = 2
    DeliveryFactory.create_batch(3, webhook=WebhookFactory(tenant=acme))
    assert len(claim(10)) == 2
    Delivery.objects.filter(token__isnull=False).update(next_attempt_at="2026-01-09T10:30:00Z")
    assert len(claim(10)) == 2


@pytest.mark.django_db
def test_the_first_of_each_tenant_goes_before_the_second_of_any(acme: Tenant) -> None:
    """However many webhooks a tenant has. Seen from one lane: those of different lanes are claimed apart."""
    quiet = next(tenant for tenant in iter(TenantFactory, None) if lane_of(tenant) == lane_of(acme))
    for webhook in WebhookFactory.create_batch(10, tenant=acme):
        DeliveryFactory.create_batch(2, webhook=webhook)
    DeliveryFactory.create_batch(2, webhook=WebhookFactory(tenant=quiet))
    tenants = dict(Webhook.objects.values_list("id", "tenant"))
    turns = [Counter(tenants[lease.webhook_id] for lease in claim(2)) for _turn in range(2)]
    assert turns == [Counter([acme.id, quiet.id])] * 2


@pytest.mark.django_db(transaction=True)
def test_of_four_workers_at_once_none_exceeds_the_bound(acme: Tenant) -> None:
    """Remove the lane's lock and the tenant has more than 16 in flight, sooner or later."""
    for webhook in WebhookFactory.create_batch(8, tenant=acme):
        DeliveryFactory.create_batch(40, webhook=webhook)
    for _round in range(10):
        leases = [lease for share in at_once(*[lambda: claim(10)] * 4) for lease in share]
        assert len({lease.delivery_id for lease in leases}) == len(leases) == PER_TENANT
        assert max(Counter(lease.webhook_id for lease in leases).values()) <= MAX_IN_FLIGHT_PER_WEBHOOK
        Delivery.objects.filter(token__isnull=False).update(
            token=None, status=DeliveryStatus.DELIVERED, next_attempt_at=None
        )


# --- Lanes ---


@pytest.mark.django_db
def test_what_is_due_is_found_in_every_lane() -> None:
    for tenant in TenantFactory.create_batch(3 * LANES):
        DeliveryFactory(webhook=WebhookFactory(tenant=tenant))
    assert len(claim(10)) == 10
    assert len(claim(100)) == 3 * LANES - 10
    assert Delivery.objects.values("tenant").annotate(size=Count("id")).filter(size__gt=1).count() == 0


@pytest.mark.django_db(transaction=True)
def test_lanes_are_claimed_side_by_side() -> None:
    """With one lock for all lanes, the claim waits until the other worker is ready, or its lock time-out."""
    busy, free = two_lanes()
    for tenant in (busy, free):
        DeliveryFactory(webhook=WebhookFactory(tenant=tenant))
    Delivery.objects.filter(tenant=busy).update(next_attempt_at="9999-01-01T00:00:00Z")
    with holding(lambda: execute(CLAIM_LOCK.replace("%(lane)s", str(lane_of(busy))))):
        began_at = monotonic()
        assert len(claim(10)) == 1
        assert monotonic() - began_at < 1


@pytest.mark.django_db(transaction=True)
def test_a_claim_waits_for_one_of_the_release_before(acme: Tenant) -> None:
    """During an upgrade: such a worker locks all claims at once. Remove the shared lock and the bounds are exceeded."""
    DeliveryFactory(webhook=WebhookFactory(tenant=acme))
    with (
        holding(lambda: execute("SELECT pg_advisory_xact_lock(hashtext('webhooks.leases'))")),
        pytest.raises(OperationalError, match="lock timeout"),
    ):
        claim(10)
    assert len(claim(10)) == 1


# --- Fan-out, tasks, settlement ---


@pytest.mark.django_db
def test_the_first_event_of_each_tenant_is_fanned_out_before_the_second_of_any(acme: Tenant, globex: Tenant) -> None:
    WebhookFactory(tenant=acme)
    WebhookFactory(tenant=globex)
    for _number in range(20):
        an_event(acme)
    late = an_event(globex)
    assert fan_out_events(at_most=2) == 2
    assert set(Delivery.objects.values_list("tenant", flat=True)) == {acme.id, globex.id}
    assert Delivery.objects.get(tenant=globex).event == late


@pytest.mark.django_db
def test_a_backlog_of_events_does_not_hold_deliveries_up(
    webhook: Webhook, receiver: Receiver, globex: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is due is sent after the first batch, not after the last."""
    monkeypatch.setattr("webhooks.delivery.worker.FAN_OUT_BATCH_SIZE", 5)
    batches = []

    def fan_out_five() -> int:
        batches.append(len(receiver.received))
        return fan_out_events(at_most=5)

    monkeypatch.setattr("webhooks.delivery.worker.fan_out_events", fan_out_five)
    DeliveryFactory(webhook=webhook)
    for _number in range(100):
        an_event(globex)
    with DeliveryWorker(threads=1) as delivering:
        delivering.drain()
    assert OutboxEntry.objects.count() == 0
    assert batches[0] == 0
    assert 1 in batches[:20]


@pytest.mark.django_db
@pytest.mark.parametrize("task", [tasks.fan_out_events, tasks.deliver_due])
def test_a_task_ends_at_once_while_another_does_the_same(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch, task: Callable[[], None]
) -> None:
    """Else the events of one tenant occupy all slots of a Celery worker, and new tenants wait for their set-up."""
    runs = []

    def run() -> None:
        runs.append(1)
        task()

    monkeypatch.setattr("webhooks.tasks._fan_out", run)
    monkeypatch.setattr("webhooks.tasks._deliver", run)
    task()
    assert runs == [1]


@pytest.mark.django_db(transaction=True)
def test_a_locked_event_chain_holds_up_no_other_tenants_settlement(acme: Tenant, globex: Tenant) -> None:
    """A receiver answers 410 while a change of its tenant is under way. It is disabled at its next failure."""
    an_event(acme)
    for tenant in (acme, globex):
        DeliveryFactory(webhook=WebhookFactory(tenant=tenant))
    gone = Webhook.objects.get(tenant=acme)
    outcomes = [answered(lease, 410 if lease.webhook_id == gone.id else 200) for lease in claim(10)]
    with holding(lambda: execute(LOCK_EVENT_CHAIN, acme.id)):
        assert settle_attempts(outcomes) == 2
    assert Delivery.objects.get(tenant=globex).status == DeliveryStatus.DELIVERED
    gone.refresh_from_db()
    assert gone.status == WebhookStatus.ENABLED
    Delivery.objects.pending().update(next_attempt_at=Now() - timedelta(seconds=1))
    settle_attempts([answered(lease, 410) for lease in claim(10)])
    gone.refresh_from_db()
    assert gone.status == WebhookStatus.DISABLED


def answered(lease: DeliveryLease, status: int) -> Outcome:
    if status == HTTPStatus.OK:
        return outcome_of(lease)
    return outcome_of(
        lease, status=DeliveryStatus.PENDING, delay_seconds=5.0, response_status=status, error="http_error"
    )
