"""Sends events to a webhook again: one delivery (redeliver), or the events of a period (replay).

A redelivery sends what was sent before. A replay also sends events for which the webhook has no delivery, because
it did not exist then, was disabled, or did not subscribe to them.
"""

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
from webhooks.delivery.payloads import build_body
from webhooks.event_types import BROADCAST, WebhookEvent
from webhooks.models import Delivery, DeliveryQuerySet, DeliveryStatus, Webhook, WebhookStatus
from webhooks.services import WebhookDisabled, lock_webhook

# Bounds the transaction, which holds the webhook's lock: meanwhile its owner cannot change it, and workers cannot
# record its health. Writing 10,000 new deliveries takes 2.5 s of CPU in this process, and the time of the database.
MAX_REPLAYED_EVENTS = 10_000
# Rows per INSERT: with bodies of at most 20 KB, a statement has at most 10 MB.
INSERT_BATCH_SIZE = 500


class DeliveryInProgress(WrongState):
    """A worker is sending the delivery now. Its lease ends within 30 s."""

    message = _("The delivery is being sent right now.")


@transaction.atomic
def redeliver(delivery: Delivery, *, by: Actor) -> Delivery:
    """Send a delivery again, now, with all ten attempts. The receiver sees the same ``webhook-id`` and body.

    Raises WebhookDisabled, DeliveryInProgress if a worker holds a lease on it.
    """
    _lock_enabled_webhook(delivery.webhook)
    if not _reschedule(Delivery.objects.filter(pk=delivery.pk)):
        raise DeliveryInProgress
    data = {"id": delivery.webhook_id, "delivery_id": delivery.id, "event_id": delivery.event_id}
    emit(WebhookEvent.REDELIVERED, tenant_id=delivery.tenant_id, actor=by, data=data)
    enqueue_on_commit(DELIVER_TASK)
    delivery.refresh_from_db()
    return delivery


@transaction.atomic
def replay(webhook: Webhook, since: datetime, until: datetime, *, by: Actor) -> int:
    """Deliver the events of a period that the webhook subscribes to, again or for the first time.

    ``until`` is exclusive. Return how many will be sent; those that are being sent now are not counted.
    Raises WebhookDisabled, InvalidField if there are more than 10,000 events.
    """
    webhook = _lock_enabled_webhook(webhook)
    types = [event_type for event_type in BROADCAST if webhook.subscribes_to(event_type)]
    events = Event.objects.filter(
        tenant_id=webhook.tenant_id, type__in=types, timestamp__gte=since, timestamp__lt=until
    ).order_by("sequence")
    if events[: MAX_REPLAYED_EVENTS + 1].count() > MAX_REPLAYED_EVENTS:
        raise InvalidField("since", _("More than 10,000 events happened in this time; ask for a shorter one."))
    rescheduled = _reschedule(webhook.deliveries.filter(event__in=events))
    missing = events.exclude(deliveries__webhook=webhook)
    deliveries = [
        Delivery(tenant_id=webhook.tenant_id, webhook=webhook, event=event, body=build_body(event)) for event in missing
    ]
    # The fan-out may write the delivery of a new event at the same time. One of the two is enough.
    Delivery.objects.bulk_create(deliveries, batch_size=INSERT_BATCH_SIZE, ignore_conflicts=True)
    count = rescheduled + len(deliveries)
    data = {"id": webhook.id, "since": as_json(since), "until": as_json(until), "deliveries": count}
    emit(WebhookEvent.REPLAYED, tenant_id=webhook.tenant_id, actor=by, data=data)
    enqueue_on_commit(DELIVER_TASK)
    return count


def _lock_enabled_webhook(webhook: Webhook) -> Webhook:
    # Locked, so that the webhook is neither disabled nor deleted between this check and the commit.
    webhook = lock_webhook(webhook)
    if webhook.status == WebhookStatus.DISABLED:
        raise WebhookDisabled
    return webhook


def _reschedule(deliveries: DeliveryQuerySet) -> int:
    """Make deliveries due now, at the start of the schedule; return how many. Those under a lease are left out.

    A worker is sending those. Taking the token away would discard the result of that attempt.
    """
    return deliveries.not_leased().update(
        status=DeliveryStatus.PENDING, attempts_before=F("attempt"), next_attempt_at=Now(), token=None
    )
