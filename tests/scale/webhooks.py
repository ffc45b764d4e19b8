"""Webhooks, 20 for each tenant, callbacks, deliveries of the newest events to the webhooks, and attempts.

The last delivery of each webhook waits for a retry, hours from now. Of the others, one in 49 has failed for good.
"""

from collections.abc import Iterator
from datetime import timedelta

from stoa_cp.crypto.encryption import encrypt
from tests.scale.copying import copy
from tests.scale.eventlog import event_of
from tests.scale.sizes import Sizes
from tests.scale.subscriptions import CALLBACK_URL, has_callback, subscription_id
from tests.scale.tenants import tenant_id
from tests.scale.values import NOW, id_of, moment_of
from tests.webhooks.factories import SECRET
from webhooks.delivery.payloads import build_body
from webhooks.models import Attempt, Delivery, DeliveryStatus, Failure, Webhook
from webhooks.services.webhooks import MAX_WEBHOOKS_PER_TENANT

URL = "http://127.0.0.1:9/hook"
ATTEMPTS = {DeliveryStatus.DELIVERED: 1, DeliveryStatus.FAILED: 10, DeliveryStatus.PENDING: 6}
FAILED_ONE_IN = 49  # no divisor of the number of webhooks: each has some


def load(sizes: Sizes) -> None:
    columns = ("id", "tenant_id", "subscription_id", "url", "events", "secret", "created_at", "updated_at")
    copy(Webhook, columns, _webhooks(sizes), sizes.webhooks() + sizes.subscriptions // 100)
    columns = (
        "id",
        "tenant_id",
        "webhook_id",
        "event_id",
        "body",
        "status",
        "attempt",
        "next_attempt_at",
        "created_at",
    )
    copy(Delivery, columns, _deliveries(sizes), sizes.deliveries)
    columns = ("delivery_id", "number", "attempted_at", "duration_ms", "response_status", "error")
    copy(Attempt, columns, _attempts(sizes))


def webhook_id(tenant: int, place: int) -> str:
    return id_of("whk", tenant * MAX_WEBHOOKS_PER_TENANT + place)


def delivery_id(number: int) -> str:
    return id_of("dlv", number)


def _webhooks(sizes: Sizes) -> Iterator[tuple[object, ...]]:
    secret = encrypt(SECRET)
    for number in range(sizes.webhooks()):
        tenant, place = divmod(number, MAX_WEBHOOKS_PER_TENANT)
        moment = moment_of(number, sizes.webhooks())
        yield webhook_id(tenant, place), tenant_id(tenant), None, URL, '["*"]', secret, moment, moment
    for number in filter(has_callback, range(sizes.subscriptions)):
        moment = moment_of(number, sizes.subscriptions)
        owner, own = tenant_id(sizes.owner(number)), '["subscription.*", "quota.*"]'
        yield id_of("whk", -number), owner, subscription_id(number), CALLBACK_URL, own, secret, moment, moment


def _statuses(sizes: Sizes) -> Iterator[tuple[int, DeliveryStatus]]:
    """Yield the deliveries' numbers and statuses. The webhooks take turns, so that the last ones are one of each."""
    for number in range(sizes.deliveries):
        if number >= sizes.deliveries - sizes.webhooks():
            yield number, DeliveryStatus.PENDING
        else:
            yield number, DeliveryStatus.DELIVERED if number % FAILED_ONE_IN else DeliveryStatus.FAILED


def _deliveries(sizes: Sizes) -> Iterator[tuple[object, ...]]:
    each = sizes.deliveries // sizes.webhooks()
    retry = NOW + timedelta(hours=10)
    for number, status in _statuses(sizes):
        turn, webhook = divmod(number, sizes.webhooks())
        tenant, place = divmod(webhook, MAX_WEBHOOKS_PER_TENANT)
        if place == 0:  # the webhooks of a tenant follow each other, and receive the same event
            newest = sizes.count(tenant, sizes.events) - 1
            event = event_of(sizes, sizes.number(tenant, newest - (each - 1 - turn)))
            body = build_body(event)
        # A second apart: no two webhooks are due at once.
        due = retry + timedelta(seconds=webhook) if status == DeliveryStatus.PENDING else None
        ids = (delivery_id(number), event.tenant_id, webhook_id(tenant, place), event.id)
        yield (*ids, body, status, ATTEMPTS[status], due, event.timestamp)


def _attempts(sizes: Sizes) -> Iterator[tuple[object, ...]]:
    success, failure = (204, ""), (500, Failure.HTTP_ERROR)
    for number, status in _statuses(sizes):
        for attempt in range(1, ATTEMPTS[status] + 1):
            result = success if status == DeliveryStatus.DELIVERED else failure
            yield delivery_id(number), attempt, moment_of(number, sizes.deliveries), 50, *result
