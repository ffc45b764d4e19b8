"""Claims due deliveries under a lease, and settles attempts: one statement each, on the database's clock.

The rows of ``webhooks_delivery`` are the queue. A claim leases a delivery: it sets ``next_attempt_at`` to the end
of the lease, and ``token`` to a new random value. If the worker dies, the lease ends, and the delivery is due
again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from webhooks.delivery.client import DEADLINE_SECONDS
from webhooks.models import DeliveryStatus

# The lease must outlast the attempt, or a second worker sends the delivery at the same time. The attempt lasts 15 s
# at most; before it, a delivery that was claimed in advance may wait as long for a thread. Not longer, because the
# delivery of a killed worker waits for the end of its lease: it was sent 30.0 s after the kill, where
# 35 s are promised.
LEASE_SECONDS = DEADLINE_SECONDS + 15
# Over all workers. A dead receiver occupies this many threads for 15 s each, however long its backlog is. With 1,000
# deliveries waiting for a dead receiver, the p95 of 50 healthy ones stayed what it was (253 ms; alone 286 ms).
MAX_IN_FLIGHT_PER_WEBHOOK = 4

# One claim at a time in the whole installation. A claim counts what is in flight for each webhook and adds to it.
# Two claims at once would both count the same, because a statement sees only what was committed before it began,
# and a webhook would have more than four in flight. A claim takes a few milliseconds, so waiting for it costs
# little. Asynchronous commit: a crash of the database may lose a claim, and the delivery is claimed again, as after
# any crash. So the claim need not wait for the disk while it holds the lock. The key keeps its first name, because
# during an upgrade the workers of both releases must take the same lock.
CLAIM_LOCK = """
SELECT set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock(hashtext('webhooks.leases'))
"""

# 1. ``waiting_webhook``: the webhooks with pending deliveries, by a loose index scan. It makes one index probe for
#    each webhook, so a backlog of a thousand deliveries costs as much as one delivery.
# 2. ``due``: of each enabled webhook, the oldest due deliveries that still fit under the limit in flight. The order
#    is by turns: the first delivery of every webhook goes before the second of any, so that a long backlog delays
#    only itself.
# 3. ``claimed``: locks these rows. SKIP LOCKED, because a redelivery may hold one, and the claim must not wait for
#    it. The conditions are repeated because PostgreSQL checks them again on the newest version of a row that it
#    locks.
# 4. UPDATE: leases them, and returns all that sending takes, so that the senders need no database. The previous
#    secret comes along only while the overlap of its rotation lasts.
CLAIM = """
WITH RECURSIVE waiting_webhook (webhook_id) AS (
    (SELECT webhook_id FROM webhooks_delivery WHERE status = 'pending' ORDER BY webhook_id LIMIT 1)
    UNION ALL
    SELECT (SELECT later.webhook_id FROM webhooks_delivery later
            WHERE later.status = 'pending' AND later.webhook_id > waiting_webhook.webhook_id
            ORDER BY later.webhook_id LIMIT 1)
    FROM waiting_webhook WHERE waiting_webhook.webhook_id IS NOT NULL
), due AS (
    SELECT head.id
    FROM waiting_webhook
    JOIN webhooks_webhook webhook ON webhook.id = waiting_webhook.webhook_id
        AND webhook.status = 'enabled' AND webhook.deleted_at IS NULL
    CROSS JOIN LATERAL (
        SELECT count(*) AS size FROM webhooks_delivery leased
        WHERE leased.webhook_id = webhook.id AND leased.token IS NOT NULL
            AND leased.next_attempt_at > statement_timestamp()
    ) in_flight
    CROSS JOIN LATERAL (
        SELECT id, next_attempt_at, row_number() OVER (ORDER BY next_attempt_at) AS position
        FROM webhooks_delivery waiting
        WHERE waiting.webhook_id = webhook.id AND waiting.status = 'pending'
            AND waiting.next_attempt_at <= statement_timestamp()
        ORDER BY next_attempt_at
        LIMIT greatest(0, %(per_webhook)s - in_flight.size)
    ) head
    ORDER BY in_flight.size + head.position, head.next_attempt_at
    LIMIT %(at_most)s
), claimed AS (
    SELECT delivery.id FROM webhooks_delivery delivery JOIN due ON due.id = delivery.id
    WHERE delivery.status = 'pending' AND delivery.next_attempt_at <= statement_timestamp()
    FOR UPDATE OF delivery SKIP LOCKED
)
UPDATE webhooks_delivery delivery
SET attempt = attempt + 1, token = gen_random_uuid(),
    next_attempt_at = statement_timestamp() + %(lease)s * interval '1 second'
FROM claimed, webhooks_webhook webhook
WHERE delivery.id = claimed.id AND webhook.id = delivery.webhook_id
RETURNING delivery.id, delivery.token, delivery.attempt, delivery.attempts_before, delivery.event_id, delivery.body,
    webhook.id, webhook.url, webhook.failure_count > 0, webhook.secret,
    CASE WHEN webhook.previous_secret_valid_until > statement_timestamp() THEN webhook.previous_secret END
"""

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


def claim_due(at_most: int) -> list[DeliveryLease]:
    """Lease up to ``at_most`` due deliveries for 30 s, with at most 4 in flight per webhook over all workers."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CLAIM_LOCK)
        cursor.execute(CLAIM, {"at_most": at_most, "per_webhook": MAX_IN_FLIGHT_PER_WEBHOOK, "lease": LEASE_SECONDS})
        return [_lease_from_row(*row) for row in cursor.fetchall()]


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


def _lease_from_row(*row: Any) -> DeliveryLease:
    secrets = tuple(bytes(ciphertext) for ciphertext in row[-2:] if ciphertext is not None)
    return DeliveryLease(secrets, *row[:-2])
