"""Claims due deliveries under a lease, and settles attempts: one statement each, on the database's clock.

The rows of ``webhooks_delivery`` are the queue. A claim leases a delivery: it sets ``next_attempt_at`` to the end
of the lease, and ``token`` to a new random value. If the worker dies, the lease ends, and the delivery is due
again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from stoa_cp.db.ids import new_id
from webhooks.delivery.client import DEADLINE_SECONDS
from webhooks.delivery.lanes import CANDIDATES, CLAIM, CLAIM_LOCK, DUE_LANES, HAS_WORK, POSTPONE
from webhooks.models import LANES, Delivery, DeliveryStatus, Webhook

# The lease must outlast the attempt, or a second worker sends the delivery at the same time. The attempt lasts 15 s
# at most; before it, a delivery that was claimed in advance may wait as long for a thread. Not longer, because the
# delivery of a killed worker waits for the end of its lease: it was sent 30.0 s after the kill, where
# 35 s are promised.
LEASE_SECONDS = DEADLINE_SECONDS + 15
# Over all workers. A dead receiver occupies this many threads for 15 s each, however long its backlog is. With 1,000
# deliveries waiting for a dead receiver, the p95 of 50 healthy ones stayed what it was (253 ms; alone 286 ms).
# STOA_DELIVERIES_PER_TENANT bounds all webhooks and callbacks of a tenant together: one developer may have thousands.
MAX_IN_FLIGHT_PER_WEBHOOK = 4
# Deliveries that enabling a webhook makes due in its own transaction, in which a request waits. The rest of a longer
# backlog is due within the hour (POSTPONE).
RESUMED_AT_ONCE = 10_000

# The token is a fencing token: a worker whose lease has ended finds no row with its token. It neither changes the
# delivery, which another worker may be sending, nor records an attempt. One statement for many attempts, because a
# round trip and a commit for each would bound the rate of deliveries.
SETTLE = """
WITH outcome AS (
    SELECT * FROM unnest(
        %(deliveries)s::text[], %(tokens)s::uuid[], %(statuses)s::text[], %(delays)s::float8[],
        %(started)s::timestamptz[], %(durations)s::int[], %(responses)s::int[], %(errors)s::text[], %(excerpts)s::text[]
    ) AS outcome (delivery_id, token, status, delay, started_at, duration_ms, response_status, error, excerpt)
), settled AS (
    UPDATE webhooks_delivery delivery
    SET status = outcome.status, token = NULL,
        next_attempt_at = statement_timestamp() + outcome.delay * interval '1 second'
    FROM outcome
    WHERE delivery.id = outcome.delivery_id AND delivery.token = outcome.token
    RETURNING delivery.id, delivery.attempt, outcome.*
)
INSERT INTO webhooks_attempt
    (delivery_id, number, attempted_at, duration_ms, response_status, error, response_excerpt)
SELECT id, attempt, started_at, duration_ms, response_status, error, excerpt FROM settled
RETURNING delivery_id
"""


@dataclass(frozen=True, slots=True)
class DeliveryLease:
    """A delivery that this worker may send until the lease ends. The secrets are encrypted, the current one first.

    The order of the fields is the order of the columns that CLAIM returns, but for the secrets.
    """

    secrets: tuple[bytes, ...]
    delivery_id: str
    token: UUID
    attempt: int
    attempts_before: int
    event_id: str
    body: str
    webhook_id: str
    url: str
    is_failing: bool
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to write about an attempt. ``delay_seconds`` is the time until the next one, None if there is none."""

    lease: DeliveryLease
    status: DeliveryStatus
    delay_seconds: float | None
    started_at: datetime
    duration_ms: int
    response_status: int | None
    error: str
    excerpt: str


def claim_due(at_most: int) -> Iterator[DeliveryLease]:
    """Lease up to ``at_most`` due deliveries for 30 s, lane by lane.

    At most 4 are in flight per webhook, and STOA_DELIVERIES_PER_TENANT per tenant, over all workers. An iterator, so
    that the leases of a lane are used although the claim of the next one fails.
    """
    for lane in _due_lanes():
        leases = _claim_lane(lane, at_most)
        yield from leases
        at_most -= len(leases)
        if not at_most:
            return


def has_work() -> bool:
    """Return True if there are events to fan out, replays, or due deliveries. It costs far less than to try."""
    with connection.cursor() as cursor:
        cursor.execute(HAS_WORK, {"last_lane": LANES - 1})
        return bool(cursor.fetchone()[0])


def _due_lanes() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(DUE_LANES, {"last_lane": LANES - 1})
        return [lane for (lane,) in cursor.fetchall()]


def _claim_lane(lane: int, at_most: int) -> list[DeliveryLease]:
    bounds = {"per_webhook": MAX_IN_FLIGHT_PER_WEBHOOK, "per_tenant": settings.STOA_DELIVERIES_PER_TENANT}
    of_lane: dict[str, int | str] = {"lane": lane, "last_lane": LANES - 1}
    of_lane |= {"candidates": CANDIDATES, "start": new_id("whk")}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CLAIM_LOCK, of_lane)
        cursor.execute(CLAIM, of_lane | bounds | {"at_most": at_most, "lease": LEASE_SECONDS})
        leases = [_lease_from_row(*row) for row in cursor.fetchall()]
        if not leases:
            cursor.execute(POSTPONE, of_lane)
        return leases


def settle(outcomes: Sequence[Outcome]) -> set[str]:
    """Write the outcomes of many attempts; return the ids of the deliveries whose leases were still ours."""
    columns: dict[str, Any] = {
        "deliveries": [outcome.lease.delivery_id for outcome in outcomes],
        "tokens": [outcome.lease.token for outcome in outcomes],
        "statuses": [str(outcome.status) for outcome in outcomes],
        "delays": [outcome.delay_seconds for outcome in outcomes],
        "started": [outcome.started_at for outcome in outcomes],
        "durations": [outcome.duration_ms for outcome in outcomes],
        "responses": [outcome.response_status for outcome in outcomes],
        "errors": [outcome.error for outcome in outcomes],
        "excerpts": [outcome.excerpt for outcome in outcomes],
    }
    with connection.cursor() as cursor:
        cursor.execute(SETTLE, columns)
        return {delivery_id for (delivery_id,) in cursor.fetchall()}


def resume_deliveries(webhook: Webhook) -> None:
    """Make the pending deliveries of a webhook due now, the oldest 10,000 at once. The caller locks the webhook."""
    waiting = Delivery.objects.pending().not_leased().filter(webhook=webhook, next_attempt_at__gt=Now())
    oldest = waiting.order_by("next_attempt_at").values("pk")[:RESUMED_AT_ONCE]
    Delivery.objects.filter(pk__in=oldest).update(next_attempt_at=Now(), token=None)


def _lease_from_row(*row: Any) -> DeliveryLease:
    secrets = tuple(bytes(ciphertext) for ciphertext in row[-2:] if ciphertext is not None)
    return DeliveryLease(secrets, *row[:-2])
