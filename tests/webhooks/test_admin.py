"""Webhooks and deliveries as operators see them."""

import pytest
from django.test import Client

from stoa_cp.crypto.encryption import encrypt
from tenants.models import Tenant
from tests.kernel.console.pages import answer, dialog_of, list_of, page_of, said
from tests.log import last_event
from tests.webhooks.claims import claim
from tests.webhooks.conftest import Drain
from tests.webhooks.factories import SECRET, DeliveryFactory, an_event
from tests.webhooks.receivers import Receiver, Reply
from webhooks.models import Delivery, DeliveryStatus, Webhook, WebhookStatus

pytestmark = pytest.mark.django_db


def test_the_lists_say_what_matters(
    console: Client, webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain
) -> None:
    receiver.reply = Reply(410)
    an_event(acme)
    drain()
    webhooks = console.get(list_of(Webhook)).content.decode()
    assert all(text in webhooks for text in (webhook.url, webhook.id, "The receiver answered 410 Gone.", "acme"))
    deliveries = console.get(list_of(Delivery)).content.decode()
    assert all(text in deliveries for text in ("tenant.updated", Delivery.objects.first().id, "Pending"))


def test_a_delivery_shows_its_body_and_every_attempt(
    console: Client, webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain
) -> None:
    receiver.reply = Reply(500, body=b"<script>out of order")
    event = an_event(acme)
    drain()
    page = console.get(page_of(Delivery.objects.get())).content.decode()
    for text in (event.id, "500", "Not a 2xx answer", "&lt;script&gt;out of order"):
        assert text in page
    assert "<script>out of order" not in page


def test_no_page_shows_a_secret(console: Client, webhook: Webhook) -> None:
    webhook.previous_secret, webhook.previous_secret_valid_until = encrypt(SECRET), "2100-01-01T00:00:00Z"
    webhook.save()
    delivery = DeliveryFactory(webhook=webhook)
    claim(1)
    delivery.refresh_from_db()
    hidden = [SECRET, bytes(webhook.secret).decode(), bytes(webhook.previous_secret).decode(), str(delivery.token)]
    for address in (list_of(Webhook), page_of(webhook), list_of(Delivery), page_of(delivery)):
        page = console.get(address).content.decode()
        assert not [secret for secret in hidden if secret in page]


def test_send_again(console: Client, webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain) -> None:
    an_event(acme)
    drain()
    delivery = Delivery.objects.get()
    response = answer(console, dialog_of(delivery, "send_again"))
    assert said(response) == [f"success: {delivery.id} is on its way."]
    assert last_event().actor == "stoa:operator:olga"
    drain()
    assert len(receiver.received) == 2


def test_a_refusal_is_a_warning(console: Client, webhook: Webhook) -> None:
    delivery = DeliveryFactory(webhook=webhook)
    claim(1)
    response = answer(console, dialog_of(delivery, "send_again"))
    assert said(response) == ["warning: The delivery is being sent right now."]


def test_disable_and_enable(console: Client, webhook: Webhook, receiver: Receiver, drain: Drain) -> None:
    pending = DeliveryFactory(webhook=webhook)
    answer(console, dialog_of(webhook, "disable"), reason="complaints")
    webhook.refresh_from_db()
    assert (webhook.status, webhook.disabled_reason) == (WebhookStatus.DISABLED, "complaints")
    assert last_event().type == "webhook.disabled"
    assert drain() == 0
    answer(console, dialog_of(webhook, "enable"))
    drain()
    pending.refresh_from_db()
    assert pending.status == DeliveryStatus.DELIVERED


def test_send_a_test(console: Client, webhook: Webhook, receiver: Receiver, drain: Drain) -> None:
    answer(console, dialog_of(webhook, "send_test"))
    drain()
    assert Delivery.objects.get().event.type == "webhook.test"
    assert len(receiver.received) == 1


def test_who_may_only_look_changes_nothing(readonly_console: Client, webhook: Webhook) -> None:
    assert readonly_console.get(list_of(Webhook)).status_code == 200
    assert answer(readonly_console, dialog_of(webhook, "disable")).status_code == 403
    webhook.refresh_from_db()
    assert webhook.status == WebhookStatus.ENABLED
