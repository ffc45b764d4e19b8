"""Sends again what was sent before, or what happened before a webhook could receive it."""

from datetime import datetime

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from stoa_cp.db.changes import as_json
from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import InvalidField, WrongState
from stoa_cp.eventlog.emit import emit
from stoa_cp.eventlog.models import Event
from stoa_cp.jobs.enqueue import enqueue_on_commit
from webhooks.delivery.fan_out import DELIVER_TASK
from webhooks.delivery.payloads import body_of
from webhooks.event_types import BROADCAST, WebhookEvent
from webhooks.models import Delivery, DeliveryQuerySet, DeliveryStatus, Webhook, WebhookStatus
from webhooks.services import WebhookDisabled, lock_webhook

MAX_REPLAYED = 10_000
BATCH = 500


class DeliveryUnderWay(WrongState):
    """A worker is sending the delivery now, and will be done within its lease."""

    message = _("The delivery is being sent right now.")


@transaction.atomic
def redeliver(delivery: Delivery, *, by: Actor) -> Delivery:
    """Send a delivery again, now, with the whole schedule before it; the receiver sees the same ``webhook-id``.

    Raises WebhookDisabled, DeliveryUnderWay.
    """
    _lock_enabled(delivery.webhook)
    if not _send_again(Delivery.objects.filter(pk=delivery.pk)):
        raise DeliveryUnderWay
    data = {"id": delivery.webhook_id, "delivery_id": delivery.id, "event_id": delivery.event_id}
    emit(WebhookEvent.REDELIVERED, tenant_id=delivery.tenant_id, actor=by, data=data)
    enqueue_on_commit(DELIVER_TASK)
    delivery.refresh_from_db()
    return delivery


@transaction.atomic
def replay(webhook: Webhook, since: datetime, until: datetime, *, by: Actor) -> int:
    """Deliver, again or for the first time, the events of a span of time that the webhook subscribes to.

    ``until`` is exclusive. Return how many will be sent; those that are being sent right now are not counted.
    Raises WebhookDisabled, InvalidField for more than 10,000 events.
    """
    webhook = _lock_enabled(webhook)
    types = [event_type for event_type in BROADCAST if webhook.wants(event_type)]
    events = Event.objects.filter(
        tenant_id=webhook.tenant_id, type__in=types, timestamp__gte=since, timestamp__lt=until
    ).order_by("sequence")
    if events[: MAX_REPLAYED + 1].count() > MAX_REPLAYED:
        raise InvalidField("since", _("More than 10,000 events happened in this time; ask for a shorter one."))
    replayed = _send_again(webhook.deliveries.filter(event__in=events))
    missing = events.exclude(deliveries__webhook=webhook)
    deliveries = [
        Delivery(tenant_id=webhook.tenant_id, webhook=webhook, event=event, body=body_of(event)) for event in missing
    ]
    Delivery.objects.bulk_create(deliveries, batch_size=BATCH, ignore_conflicts=True)
    count = replayed + len(deliveries)
    data = {"id": webhook.id, "since": as_json(since), "until": as_json(until), "deliveries": count}
    emit(WebhookEvent.REPLAYED, tenant_id=webhook.tenant_id, actor=by, data=data)
    enqueue_on_commit(DELIVER_TASK)
    return count


def _lock_enabled(webhook: Webhook) -> Webhook:
    webhook = lock_webhook(webhook)
    if webhook.status == WebhookStatus.DISABLED:
        raise WebhookDisabled
    return webhook


def _send_again(deliveries: DeliveryQuerySet) -> int:
    """Put deliveries at the start of the schedule, but for those that a worker holds; return how many."""
    return deliveries.not_leased().update(
        status=DeliveryStatus.PENDING, attempts_before=F("attempt"), next_attempt_at=Now(), token=None
    )
