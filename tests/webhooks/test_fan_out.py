"""Events become deliveries: for whom, with which body, and exactly once."""

import json

import pytest
from django.db import IntegrityError, connection, transaction

from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.models import Event, OutboxEntry
from tenants.models import Tenant
from tenants.services import delete_tenant
from tests.conftest import Caller
from tests.races import at_once
from tests.webhooks.conftest import Drain
from tests.webhooks.factories import DeliveryFactory, WebhookFactory, an_event
from tests.webhooks.receivers import Receiver
from tests.webhooks.sessions import holding
from webhooks.delivery.fan_out import fan_out_events
from webhooks.delivery.payloads import MAX_BODY_BYTES, build_body
from webhooks.event_types import AUDITED_ONLY, TYPES
from webhooks.models import Delivery, Webhook, WebhookStatus

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("events", "is_told"),
    [
        (["subscription.approved"], True),
        (["tenant.created", "subscription.approved"], True),
        (["subscription.*"], True),
        (["*"], True),
        (["subscription.created"], False),
        (["tenant.*", "apikey.*"], False),
    ],
)
def test_a_webhook_is_told_what_it_subscribed_to(acme: Tenant, events: list[str], is_told: bool) -> None:  # noqa: FBT001
    webhook = WebhookFactory(tenant=acme, events=events)
    event = an_event(acme, "subscription.approved")
    assert fan_out_events() == 1
    told = [(delivery.webhook, delivery.event) for delivery in Delivery.objects.all()]
    assert told == ([(webhook, event)] if is_told else [])


def test_nobody_else_is_told(acme: Tenant, globex: Tenant) -> None:
    WebhookFactory(tenant=globex)
    WebhookFactory(tenant=acme, status=WebhookStatus.DISABLED)
    gone = WebhookFactory(tenant=acme)
    gone.deleted_at = gone.created_at
    gone.save()
    an_event(acme)
    fan_out_events()
    assert not Delivery.objects.exists()


def test_an_event_is_fanned_out_once(webhook: Webhook, acme: Tenant) -> None:
    an_event(acme)
    assert [fan_out_events(), fan_out_events()] == [1, 0]
    assert Delivery.objects.count() == 1
    assert not OutboxEntry.objects.exists()


def test_a_mark_that_comes_back_adds_no_delivery(webhook: Webhook, acme: Tenant) -> None:
    event = an_event(acme)
    fan_out_events()
    OutboxEntry.objects.create(event=event)
    fan_out_events()
    assert Delivery.objects.count() == 1


def test_a_worker_that_dies_leaves_everything_as_it_was(
    webhook: Webhook, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_event(acme)
    monkeypatch.setattr("webhooks.delivery.fan_out.enqueue_on_commit", lambda *_args: pytest.fail("killed"))
    with pytest.raises(pytest.fail.Exception), transaction.atomic():
        fan_out_events()
    assert (Delivery.objects.count(), OutboxEntry.objects.count()) == (0, 1)


def test_what_is_audited_only_is_told_to_nobody(webhook: Webhook, acme: Tenant) -> None:
    for event_type in AUDITED_ONLY:
        an_event(acme, event_type)
    assert fan_out_events() == len(AUDITED_ONLY)
    assert not Delivery.objects.exists()


def test_the_body_is_the_event_in_the_promised_order(acme: Tenant) -> None:
    event = an_event(acme, "subscription.approved", id="sub-1", name="café ✓", version=7)
    body = build_body(event)
    assert body == (
        f'{{"id":"{event.id}","type":"subscription.approved",'
        f'"timestamp":"{event.timestamp:%Y-%m-%dT%H:%M:%SZ}","tenant_id":"{acme.id}","api_version":"v1",'
        f'"data":{{"id":"sub-1","version":7,"name":"café ✓"}}}}'
    )


def test_every_example_has_the_shape_of_a_body(acme: Tenant) -> None:
    body = json.loads(build_body(an_event(acme)))
    assert all(list(event_type.example()) == list(body) for event_type in TYPES.values())


def test_a_body_over_20_kb_says_where_to_ask(acme: Tenant) -> None:
    event = an_event(acme, "api.updated", id="api-1", description="é" * 15_000, version=3)
    body = build_body(event)
    assert len(body.encode()) <= MAX_BODY_BYTES
    assert json.loads(body)["data"] == {"id": "api-1", "version": 3, "truncated": True}


def test_the_end_of_a_tenant_is_still_told(webhook: Webhook, acme: Tenant, receiver: Receiver, drain: Drain) -> None:
    an_event(acme, "tenant.suspended")
    delete_tenant(acme, by=SYSTEM)
    drain()
    types = {json.loads(request.body)["type"] for request in receiver.received}
    assert types == {"tenant.suspended", "tenant.deleted"}


def test_a_change_over_rest_reaches_the_receiver(
    webhook: Webhook, receiver: Receiver, drain: Drain, alice: Caller
) -> None:
    assert alice.patch("/v1/tenants/acme", {"admin_email": "new@acme.com"}).status_code == 200
    drain()
    body = json.loads(receiver.received[0].body)
    assert (body["type"], body["data"]["admin_email"]) == ("tenant.updated", "new@acme.com")
    assert body["id"] == Event.objects.get(type="tenant.updated").id


def test_a_delivery_to_another_tenants_webhook_cannot_be_stored(webhook: Webhook, globex: Tenant) -> None:
    DeliveryFactory(webhook=webhook, tenant=globex)
    with pytest.raises(IntegrityError, match="delivery_webhook_same_tenant"):
        connection.check_constraints()


@pytest.mark.django_db(transaction=True)
def test_two_workers_share_the_events(webhook: Webhook, acme: Tenant) -> None:
    for _ in range(40):
        an_event(acme)

    def work() -> int:
        return sum(iter(lambda: fan_out_events(at_most=5), 0))

    shares = at_once(work, work)
    assert (sum(shares), Delivery.objects.count()) == (40, 40)
    assert all(shares)


def test_an_event_that_somebody_has_in_hand_is_skipped_not_waited_for(transactional_db: None, acme: Tenant) -> None:
    """Remove SKIP LOCKED and the fan-out waits until its lock time-out."""
    WebhookFactory(tenant=acme)
    held, free = an_event(acme), an_event(acme)
    with holding(lambda: OutboxEntry.objects.select_for_update().get(pk=held.pk)):
        assert fan_out_events() == 1
    assert Delivery.objects.get().event == free
