"""Turns events into deliveries: one row for each webhook that subscribed to the event."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from django.db import connection, transaction

from stoa_cp.db.ids import new_id
from stoa_cp.eventlog.models import Event, OutboxEntry
from stoa_cp.jobs.enqueue import enqueue_on_commit
from webhooks.delivery.callbacks import subscription_id_of, sync_callbacks
from webhooks.delivery.payloads import build_body
from webhooks.event_types import BROADCAST
from webhooks.models import Delivery, Webhook

DELIVER_TASK = "webhooks.deliver_due"
# Bounds the transaction. With 20 webhooks per tenant, the most allowed, and a callback each, 100 events become
# 2,100 rows.
FAN_OUT_BATCH_SIZE = 100

# Entries among which the turns are found; each is joined with its event, and the worker neither claims nor settles
# meanwhile: 12 to 40 ms on a busy machine, with 20,000 waiting in a log of a million events.
# Where more wait, these are a sample of them: ids are random, so those that follow a random id are of all tenants. In
# the order in which they were written, a tenant that changes 10,000 APIs would hide the entries of all others.
TURNS_AMONG = 2_000

# By turns: the first waiting event of every tenant goes before the second of any, or a tenant with many changes would
# delay the webhooks of all others.
# ``OFFSET 0`` makes PostgreSQL probe the log once for each entry. It would otherwise read the whole log: with 20,000
# entries and 5 million events, until the statement time-out, and so in each run.
WAITING_BY_TURNS = """
WITH waiting AS MATERIALIZED (
    (SELECT event_id FROM stoa_cp_eventdispatch WHERE event_id >= %(start)s ORDER BY event_id LIMIT %(among)s)
    UNION ALL
    (SELECT event_id FROM stoa_cp_eventdispatch WHERE event_id < %(start)s ORDER BY event_id LIMIT %(among)s)
    LIMIT %(among)s
)
SELECT event.id
FROM waiting CROSS JOIN LATERAL (SELECT * FROM stoa_cp_event WHERE id = waiting.event_id OFFSET 0) event
ORDER BY row_number() OVER (PARTITION BY event.tenant_id ORDER BY event.sequence), event.timestamp
"""
# SKIP LOCKED: several workers share the work without waiting.
LOCK_ENTRIES = """
SELECT event_id FROM stoa_cp_eventdispatch WHERE event_id = ANY(%s) LIMIT %s FOR UPDATE SKIP LOCKED
"""


@transaction.atomic
def fan_out_events(at_most: int = FAN_OUT_BATCH_SIZE) -> int:
    """Write the deliveries of new events, and return how many events were fanned out.

    In one transaction:

    1. Lock outbox entries: by turns of their tenants, the oldest events of each first.
    2. Leave out events that are only for the audit trail.
    3. Bring the callbacks of the events' subscriptions up to date.
    4. Write a delivery for each event and each enabled webhook that subscribed to it, with the body.
    5. Delete the outbox entries, and announce the deliveries.

    If a worker dies, its transaction is rolled back, and another worker finds the entries.
    """
    waiting = _lock_entries(at_most)
    if not waiting:
        return 0
    events = list(Event.objects.filter(pk__in=waiting, type__in=BROADCAST).order_by("timestamp"))
    sync_callbacks(events)
    deliveries = list(_build_deliveries(events))
    # A replay may have written the delivery of a new event already. It stays as it is: one for each event and webhook.
    Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
    OutboxEntry.objects.filter(pk__in=waiting).delete()
    if deliveries:
        enqueue_on_commit(DELIVER_TASK)
    return len(waiting)


def _lock_entries(at_most: int) -> list[str]:
    locked: list[str] = []
    with connection.cursor() as cursor:
        cursor.execute(WAITING_BY_TURNS, {"start": new_id("evt"), "among": TURNS_AMONG})
        waiting = [event_id for (event_id,) in cursor.fetchall()]
        # In portions: the first is enough, unless another worker has locked some of it.
        for first in range(0, len(waiting), at_most):
            cursor.execute(LOCK_ENTRIES, [waiting[first : first + at_most], at_most - len(locked)])
            locked += [event_id for (event_id,) in cursor.fetchall()]
            if len(locked) == at_most:
                break
    return locked


def _build_deliveries(events: Sequence[Event]) -> Iterator[Delivery]:
    webhooks = _webhooks_by_tenant(events)
    for event in events:
        receivers = [webhook for webhook in webhooks[event.tenant_id] if _receives(webhook, event)]
        body = build_body(event) if receivers else ""
        for webhook in receivers:
            yield Delivery(tenant_id=event.tenant_id, webhook=webhook, event=event, body=body)


def _webhooks_by_tenant(events: Sequence[Event]) -> Mapping[str, Sequence[Webhook]]:
    """Return the enabled webhooks of the events' tenants, and the callbacks of the events' subscriptions.

    Two queries for the whole batch. Not all callbacks of the tenants: a tenant may have one for each subscription.
    """
    enabled = Webhook.objects.enabled().only("tenant_id", "subscription_id", "events")
    webhooks = enabled.filter(tenant__in={event.tenant_id for event in events}, subscription=None)
    callbacks = enabled.filter(subscription__in={subscription_id_of(event) for event in events} - {None})
    by_tenant = defaultdict(list)
    for webhook in (*webhooks, *callbacks):
        by_tenant[webhook.tenant_id].append(webhook)
    return by_tenant


def _receives(webhook: Webhook, event: Event) -> bool:
    is_own = webhook.subscription_id is None or webhook.subscription_id == subscription_id_of(event)
    return is_own and webhook.subscribes_to(event.type)
