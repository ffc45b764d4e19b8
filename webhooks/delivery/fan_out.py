"""Turns events into deliveries: one row for each webhook that subscribed to one."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from django.db import transaction

from stoa_cp.eventlog.models import Event, OutboxEntry
from stoa_cp.jobs.enqueue import enqueue_on_commit
from webhooks.delivery.callbacks import subscription_of, sync_callbacks
from webhooks.delivery.payloads import body_of
from webhooks.event_types import BROADCAST
from webhooks.models import Delivery, Webhook

DELIVER_TASK = "webhooks.deliver_due"
BATCH = 100


@transaction.atomic
def fan_out_events(at_most: int = BATCH) -> int:
    """Write the deliveries of waiting events and take away their marks; return how many events were fanned out.

    Several workers share the work: each skips what another has in hand. One that dies leaves everything as it was.
    """
    waiting = OutboxEntry.objects.select_related("event").order_by("event__timestamp")
    marks = list(waiting.select_for_update(of=("self",), skip_locked=True)[:at_most])
    if not marks:
        return 0
    events = [mark.event for mark in marks if mark.event.type in BROADCAST]
    sync_callbacks(events)
    deliveries = list(_deliveries_of(events))
    Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
    OutboxEntry.objects.filter(pk__in=[mark.pk for mark in marks]).delete()
    if deliveries:
        enqueue_on_commit(DELIVER_TASK)
    return len(marks)


def _deliveries_of(events: Sequence[Event]) -> Iterator[Delivery]:
    receivers = _receivers_of(events)
    for event in events:
        interested = [webhook for webhook in receivers[event.tenant_id] if _is_for(event, webhook)]
        body = body_of(event) if interested else ""
        for webhook in interested:
            yield Delivery(tenant_id=event.tenant_id, webhook=webhook, event=event, body=body)


def _receivers_of(events: Sequence[Event]) -> Mapping[str, Sequence[Webhook]]:
    """Return the webhooks of the events' tenants, and the callbacks of their subscriptions: by tenant."""
    enabled = Webhook.objects.enabled().only("tenant_id", "subscription_id", "events")
    webhooks = enabled.filter(tenant__in={event.tenant_id for event in events}, subscription=None)
    callbacks = enabled.filter(subscription__in={subscription_of(event) for event in events} - {None})
    by_tenant = defaultdict(list)
    for webhook in (*webhooks, *callbacks):
        by_tenant[webhook.tenant_id].append(webhook)
    return by_tenant


def _is_for(event: Event, webhook: Webhook) -> bool:
    is_own = webhook.subscription_id is None or webhook.subscription_id == subscription_of(event)
    return is_own and webhook.wants(event.type)
