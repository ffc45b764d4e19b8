"""Claims due deliveries under a lease, and settles what came of them; one statement each, on the database's clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from webhooks.delivery.client import DEADLINE_SECONDS
from webhooks.models import DeliveryStatus

LEASE_SECONDS = DEADLINE_SECONDS + 15
MAX_IN_FLIGHT_PER_WEBHOOK = 4

# Claims form a queue: counting what is in flight and adding to it must not overlap with another's counting, and
# a statement sees only what was committed before it began. They last a few milliseconds.
# The key keeps its first name: during an upgrade the workers of both releases must take the same lock.
# A claim that a crash of the database forgets is made again, as leases are for: no need to wait for the disk.
CLAIM_LOCK = """
SELECT set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock(hashtext('webhooks.leases'))
"""

# ``queue`` is a loose index scan: one probe for each webhook with pending deliveries, however many they are, so a
# dead receiver's thousand cost what one costs. The k-th delivery in flight of every webhook goes before anybody's
# (k+1)-th.
CLAIM = """
WITH RECURSIVE queue (webhook_id) AS (
    (SELECT webhook_id FROM webhooks_delivery WHERE status = 'pending' ORDER BY webhook_id LIMIT 1)
    UNION ALL
    SELECT (SELECT later.webhook_id FROM webhooks_delivery later
            WHERE later.status = 'pending' AND later.webhook_id > queue.webhook_id
            ORDER BY later.webhook_id LIMIT 1)
    FROM queue WHERE queue.webhook_id IS NOT NULL
), due AS (
    SELECT head.id
    FROM queue
    JOIN webhooks_webhook webhook ON webhook.id = queue.webhook_id
        AND webhook.status = 'enabled' AND webhook.deleted_at IS NULL
    CROSS JOIN LATERAL (
        SELECT count(*) AS size FROM webhooks_delivery leased
        WHERE leased.webhook_id = webhook.id AND leased.token IS NOT NULL
            AND leased.next_attempt_at > statement_timestamp()
    ) in_flight
    CROSS JOIN LATERAL (
        SELECT id, next_attempt_at, row_number() OVER (ORDER BY next_attempt_at) AS place
        FROM webhooks_delivery waiting
        WHERE waiting.webhook_id = webhook.id AND waiting.status = 'pending'
            AND waiting.next_attempt_at <= statement_timestamp()
        ORDER BY next_attempt_at
        LIMIT greatest(0, %(per_webhook)s - in_flight.size)
    ) head
    ORDER BY in_flight.size + head.place, head.next_attempt_at
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

# The token fences: whoever lost the lease finds no row, and records no attempt.
SETTLE = """
WITH outcome AS (
    SELECT * FROM unnest(
        %(deliveries)s::text[], %(tokens)s::uuid[], %(statuses)s::text[], %(delays)s::float8[],
        %(started)s::timestamptz[], %(durations)s::int[], %(answers)s::int[], %(errors)s::text[], %(excerpts)s::text[]
    ) AS outcome (delivery_id, token, status, delay, started_at, duration_ms, answer, error, excerpt)
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
SELECT id, attempt, started_at, duration_ms, answer, error, excerpt FROM settled
RETURNING delivery_id
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """A delivery that is ours to send until its lease ends. The secrets are encrypted, the current one first."""

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
    """What is to be written of an attempt. ``delay_seconds`` leads to the next one, None if there is none."""

    lease: Lease
    status: DeliveryStatus
    delay_seconds: float | None
    started_at: datetime
    duration_ms: int
    answer: int | None
    error: str
    excerpt: str


def claim_due(at_most: int) -> list[Lease]:
    """Lease up to ``at_most`` due deliveries for 30 s, at most 4 in flight for one webhook over all workers."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CLAIM_LOCK)
        cursor.execute(CLAIM, {"at_most": at_most, "per_webhook": MAX_IN_FLIGHT_PER_WEBHOOK, "lease": LEASE_SECONDS})
        return [_lease(*row) for row in cursor.fetchall()]


def settle(outcomes: Sequence[Outcome]) -> set[str]:
    """Write what came of many attempts; return the deliveries that were still ours to settle."""
    columns: dict[str, Any] = {
        "deliveries": [outcome.lease.delivery_id for outcome in outcomes],
        "tokens": [outcome.lease.token for outcome in outcomes],
        "statuses": [str(outcome.status) for outcome in outcomes],
        "delays": [outcome.delay_seconds for outcome in outcomes],
        "started": [outcome.started_at for outcome in outcomes],
        "durations": [outcome.duration_ms for outcome in outcomes],
        "answers": [outcome.answer for outcome in outcomes],
        "errors": [outcome.error for outcome in outcomes],
        "excerpts": [outcome.excerpt for outcome in outcomes],
    }
    with connection.cursor() as cursor:
        cursor.execute(SETTLE, columns)
        return {delivery_id for (delivery_id,) in cursor.fetchall()}


def _lease(*row: Any) -> Lease:
    secrets = tuple(bytes(ciphertext) for ciphertext in row[-2:] if ciphertext is not None)
    return Lease(secrets, *row[:-2])
