"""Sends events to a webhook again: one delivery (redeliver), or the events of a period (replay).

A redelivery sends what was sent before. A replay also sends events for which the webhook has no delivery, because
it did not exist then, was disabled, or did not subscribe to them. Workers write its deliveries in portions, so that
neither a request nor the deliveries of other tenants wait for the whole of it.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import F, QuerySet
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
from webhooks.models import Delivery, DeliveryQuerySet, DeliveryStatus, Replay, Webhook, WebhookStatus
from webhooks.services import WebhookDisabled, lock_webhook

# For one replay: what a receiver that was away for a while has missed. Counting them takes milliseconds.
MAX_REPLAYED_EVENTS = 10_000
# Events that one transaction writes. It holds the webhook's lock: meanwhile its owner cannot change it, and the worker
# neither claims nor settles. Writing 10,000 at once took 2.5 s of CPU.
REPLAY_PORTION_SIZE = 200


class DeliveryInProgress(WrongState):
    """A worker is sending the delivery now. Its lease ends within 30 s."""

    message = _("The delivery is being sent right now.")


class ReplayInProgress(WrongState):
    """The webhook has one replay at a time."""

    message = _("A replay of this webhook is under way.")


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
    Raises WebhookDisabled, ReplayInProgress, InvalidField if there are more than 10,000 events.
    """
    webhook = _lock_enabled_webhook(webhook)
    if Replay.objects.filter(webhook=webhook).exists():
        raise ReplayInProgress
    events = _events_of(webhook, since, until)
    sequences = list(events.order_by("sequence").values_list("sequence", flat=True)[: MAX_REPLAYED_EVENTS + 1])
    if len(sequences) > MAX_REPLAYED_EVENTS:
        raise InvalidField("since", _("More than 10,000 events happened in this time; ask for a shorter one."))
    if sequences:
        Replay.objects.create(
            webhook=webhook,
            tenant_id=webhook.tenant_id,
            since=since,
            until=until,
            next_sequence=sequences[0],
            last_sequence=sequences[-1],
        )
    count = len(sequences) - webhook.deliveries.leased().filter(event__in=events).count()
    data = {"id": webhook.id, "since": as_json(since), "until": as_json(until), "deliveries": count}
    emit(WebhookEvent.REPLAYED, tenant_id=webhook.tenant_id, actor=by, data=data)
    enqueue_on_commit(DELIVER_TASK)
    return count


@transaction.atomic
def continue_replay() -> bool:
    """Write a portion of the replay that has waited longest; return False if none waits.

    The replay of a disabled webhook waits until the webhook is enabled.
    """
    # The webhook's lock, so that it is neither disabled nor deleted before the commit. SKIP LOCKED: a worker must not
    # wait for one webhook that its owner is changing, nor for a replay that another worker continues.
    waiting = Replay.objects.filter(webhook__in=Webhook.objects.enabled()).select_related("webhook")
    locked = waiting.select_for_update(of=("self", "webhook"), skip_locked=True, no_key=True)
    current = locked.order_by("continued_at").first()
    if current is None:
        return False
    webhook = current.webhook
    events = _events_of(webhook, current.since, current.until).filter(
        sequence__gte=current.next_sequence, sequence__lte=current.last_sequence
    )
    portion = list(events.order_by("sequence")[:REPLAY_PORTION_SIZE])
    own = webhook.deliveries.filter(event__in=portion)
    known = set(own.values_list("event_id", flat=True))
    _reschedule(own)
    # The fan-out may write the delivery of a new event at the same time. One of the two is enough.
    Delivery.objects.bulk_create(
        (
            Delivery(tenant_id=webhook.tenant_id, webhook=webhook, event=event, body=build_body(event))
            for event in portion
            if event.id not in known
        ),
        ignore_conflicts=True,
    )
    if len(portion) < REPLAY_PORTION_SIZE:
        current.delete()
    else:
        current.next_sequence, current.continued_at = portion[-1].sequence + 1, Now()
        current.save()
    return True


def _events_of(webhook: Webhook, since: datetime, until: datetime) -> QuerySet[Event]:
    types = [event_type for event_type in BROADCAST if webhook.subscribes_to(event_type)]
    return Event.objects.filter(tenant_id=webhook.tenant_id, type__in=types, timestamp__gte=since, timestamp__lt=until)


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
