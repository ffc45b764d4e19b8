"""Testing a webhook, reading its deliveries, and redelivering them."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from tenants.models import Tenant
from tests.answers import MISSING_ROLE, NOT_FOUND, WRONG_STATE, invalid, refusal_of
from tests.conftest import Caller
from tests.log import last_event, subject
from tests.webhooks.claims import claim
from tests.webhooks.conftest import Drain
from tests.webhooks.factories import DeliveryFactory, WebhookFactory, an_event
from tests.webhooks.receivers import Receiver, Reply
from webhooks.models import Delivery, Webhook, WebhookStatus

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(webhook: Webhook) -> str:
    return f"/v1/tenants/acme/webhooks/{webhook.id}"


# --- Test ---


def test_a_test_event_goes_to_this_webhook_alone(
    alice: Caller, path: str, webhook: Webhook, receiver: Receiver, drain: Drain
) -> None:
    Webhook.objects.update(events=["api.created"])
    WebhookFactory(tenant=webhook.tenant, url=f"{receiver.url}/other")
    answer = alice.post(f"{path}/test")
    assert answer.status_code == 202
    delivery = answer.json()
    assert (delivery["event_type"], delivery["status"], delivery["attempts"]) == ("webhook.test", "pending", [])
    assert last_event().data["id"] == webhook.id
    drain()
    assert [request.path for request in receiver.received] == ["/hook"]
    assert receiver.ids == [delivery["event_id"]]


def test_a_disabled_webhook_is_not_tested(alice: Caller, path: str) -> None:
    Webhook.objects.update(status=WebhookStatus.DISABLED)
    assert refusal_of(alice.post(f"{path}/test")) == WRONG_STATE
    assert not Delivery.objects.exists()


# --- Read ---


def test_a_delivery_shows_every_attempt(
    victor: Caller, path: str, receiver: Receiver, acme: Tenant, drain: Drain
) -> None:
    receiver.reply = Reply(500, body=b"out of order")
    event = an_event(acme)
    drain()
    Delivery.objects.update(next_attempt_at=Now() - timedelta(seconds=1))
    receiver.reply = Reply(200, body=b"ok")
    drain()
    (item,) = victor.get(f"{path}/deliveries").json()["items"]
    assert victor.get(f"{path}/deliveries/{item['id']}").json() == item
    assert {name: item[name] for name in ("event_id", "event_type", "status", "next_attempt_at")} == {
        "event_id": event.id,
        "event_type": "tenant.updated",
        "status": "delivered",
        "next_attempt_at": None,
    }
    shown = [
        (attempt["number"], attempt["response_status"], attempt["error"], attempt["response_excerpt"])
        for attempt in item["attempts"]
    ]
    assert shown == [(1, 500, "http_error", "out of order"), (2, 200, "", "ok")]
    assert set(item["attempts"][0]) == {
        "number", "attempted_at", "duration_ms", "response_status", "error", "response_excerpt",
    }  # fmt: skip


def test_deliveries_are_filtered(victor: Caller, path: str, webhook: Webhook, acme: Tenant) -> None:
    pending, failed = DeliveryFactory.create_batch(2, webhook=webhook)
    DeliveryFactory(webhook=WebhookFactory(tenant=acme))
    Delivery.objects.filter(pk=failed.pk).update(status="failed", next_attempt_at=None)

    def found(query: str) -> list[str]:
        return [item["id"] for item in victor.get(f"{path}/deliveries{query}").json()["items"]]

    assert found("") == [failed.id, pending.id]
    assert found("?status=failed") == [failed.id]
    assert found(f"?event_id={pending.event_id}") == [pending.id]
    assert found("?event_type=tenant.deleted") == []
    assert victor.get(f"{path}/deliveries?state=failed").status_code == 400


def test_a_list_takes_the_same_queries_however_long(
    victor: Caller, path: str, webhook: Webhook, django_assert_max_num_queries: object
) -> None:
    DeliveryFactory.create_batch(10, webhook=webhook)
    with django_assert_max_num_queries(12):  # type: ignore[operator]  # a fixture of pytest-django
        assert len(victor.get(f"{path}/deliveries").json()["items"]) == 10


def test_a_delivery_of_another_webhook_is_not_found(alice: Caller, path: str, acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        delivery = DeliveryFactory(webhook=WebhookFactory(tenant=tenant))
        assert refusal_of(alice.get(f"{path}/deliveries/{delivery.id}")) == NOT_FOUND
        assert refusal_of(alice.post(f"{path}/deliveries/{delivery.id}/redeliver")) == NOT_FOUND
    assert refusal_of(alice.get(f"{path}/deliveries/dlv-0000000000000000")) == NOT_FOUND


# --- Redeliver ---


def test_sent_again_it_has_the_same_id_and_body(
    alice: Caller, path: str, receiver: Receiver, acme: Tenant, drain: Drain
) -> None:
    an_event(acme)
    drain()
    delivery = Delivery.objects.get()
    answer = alice.post(f"{path}/deliveries/{delivery.id}/redeliver")
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    event = last_event()
    assert (event.type, event.actor) == ("webhook.redelivered", subject("alice"))
    drain()
    first, second = receiver.received
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert [attempt.number for attempt in delivery.attempts.order_by("number")] == [1, 2]


def test_sent_again_it_has_ten_more_attempts(
    alice: Caller, path: str, receiver: Receiver, acme: Tenant, drain: Drain
) -> None:
    receiver.reply = Reply(500)
    an_event(acme)

    def fail_for_good() -> None:
        while drain():
            Delivery.objects.pending().update(next_attempt_at=Now() - timedelta(seconds=1))

    fail_for_good()
    delivery = Delivery.objects.get()
    assert delivery.status == "failed"
    alice.post(f"{path}/deliveries/{delivery.id}/redeliver")
    fail_for_good()
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts.count()) == ("failed", 20)


def test_what_is_on_the_wire_is_not_sent_again(alice: Caller, path: str, webhook: Webhook) -> None:
    delivery = DeliveryFactory(webhook=webhook)
    claim(1)
    again = f"{path}/deliveries/{delivery.id}/redeliver"
    assert refusal_of(alice.post(again)) == WRONG_STATE
    Delivery.objects.update(next_attempt_at=Now() - timedelta(seconds=1))
    assert alice.post(again).status_code == 202


def test_nothing_is_sent_again_to_a_disabled_webhook(alice: Caller, path: str, webhook: Webhook) -> None:
    delivery = DeliveryFactory(webhook=webhook)
    Webhook.objects.update(status=WebhookStatus.DISABLED)
    assert refusal_of(alice.post(f"{path}/deliveries/{delivery.id}/redeliver")) == WRONG_STATE


def test_a_body_that_would_be_overlooked_is_refused(alice: Caller, path: str, webhook: Webhook) -> None:
    delivery = DeliveryFactory(webhook=webhook)
    for action in ("test", f"deliveries/{delivery.id}/redeliver"):
        assert refusal_of(alice.post(f"{path}/{action}", {"type": "api.created"})) == invalid("type", "unknown_field")


def test_readers_send_nothing(victor: Caller, path: str, webhook: Webhook) -> None:
    delivery = DeliveryFactory(webhook=webhook)
    assert refusal_of(victor.post(f"{path}/test")) == MISSING_ROLE
    assert refusal_of(victor.post(f"{path}/deliveries/{delivery.id}/redeliver")) == MISSING_ROLE
