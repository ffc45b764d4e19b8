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

from webhooks.delivery.client import DEADLINE_SECONDS
from webhooks.models import LANES, DeliveryStatus

# The lease must outlast the attempt, or a second worker sends the delivery at the same time. The attempt lasts 15 s
# at most; before it, a delivery that was claimed in advance may wait as long for a thread. Not longer, because the
# delivery of a killed worker waits for the end of its lease: it was sent 30.0 s after the kill, where
# 35 s are promised.
LEASE_SECONDS = DEADLINE_SECONDS + 15
# Over all workers. A dead receiver occupies this many threads for 15 s each, however long its backlog is. With 1,000
# deliveries waiting for a dead receiver, the p95 of 50 healthy ones stayed what it was (253 ms; alone 286 ms).
# STOA_DELIVERIES_PER_TENANT bounds all webhooks and callbacks of a tenant together: one developer may have thousands.
MAX_IN_FLIGHT_PER_WEBHOOK = 4

# The lanes in which something is due, in random order: no lane is always the last, and workers seldom meet in one. One
# index probe for each lane; as a subquery with LIMIT, because PostgreSQL may turn EXISTS into a scan of all due rows.
DUE_LANES = """
SELECT lane FROM generate_series(0, %(last_lane)s) lane
WHERE (
    SELECT next_attempt_at FROM webhooks_delivery
    WHERE hashtext(tenant_id) & %(last_lane)s = lane AND status = 'pending'
    ORDER BY next_attempt_at LIMIT 1
) <= statement_timestamp()
ORDER BY random()
"""

# One claim at a time in a lane. A claim counts what is in flight for each webhook and tenant, and adds to it. Two
# claims at once would both count the same, because a statement sees only what was committed before it began, and
# both bounds would be exceeded. All deliveries of a tenant are in one lane, so the claims of other lanes do not
# concern its bounds, and need not wait. A tenant with very many pending webhooks delays the claims of its lane only.
# The shared lock is for an upgrade: a worker of the release before takes it alone for each of its claims.
# Asynchronous commit: a crash of the database may lose a claim, and the delivery is claimed again, as after any
# crash. So the claim need not wait for the disk while it holds the lock.
CLAIM_LOCK = """
SELECT set_config('synchronous_commit', 'off', true),
    pg_advisory_xact_lock_shared(hashtext('webhooks.leases')),
    pg_advisory_xact_lock(hashtext('webhooks.lane'), %(lane)s)
"""

# 1. ``waiting_webhook``: the lane's webhooks with pending deliveries, by a loose index scan. It makes one index probe
#    for each webhook, so a backlog of a thousand deliveries costs as much as one delivery.
# 2. ``in_flight``: what is under a lease in this lane, by webhook. Few rows: as many as the workers have threads.
# 3. ``head``: of each enabled webhook, the oldest due deliveries that still fit under its bound.
# 4. ``due``: of these, as many as fit under the tenant's bound. The order is by turns: the first delivery of every
#    tenant goes before the second of any, and in a tenant it is the same with webhooks. So a long backlog delays only
#    itself, and many webhooks delay only their tenant. A turn counts what is in flight already.
# 5. ``claimed``: locks these rows. SKIP LOCKED, because a redelivery may hold one, and the claim must not wait for
#    it. The conditions are repeated because PostgreSQL checks them again on the newest version of a row that it
#    locks.
# 6. UPDATE: leases them, and returns all that sending takes, so that the senders need no database. The previous
#    secret comes along only while the overlap of its rotation lasts.
CLAIM = """
WITH RECURSIVE waiting_webhook (webhook_id) AS (
    (SELECT webhook_id FROM webhooks_delivery
     WHERE hashtext(tenant_id) & %(last_lane)s = %(lane)s AND status = 'pending' ORDER BY webhook_id LIMIT 1)
    UNION ALL
    SELECT (SELECT later.webhook_id FROM webhooks_delivery later
            WHERE hashtext(later.tenant_id) & %(last_lane)s = %(lane)s AND later.status = 'pending'
                AND later.webhook_id > waiting_webhook.webhook_id
            ORDER BY later.webhook_id LIMIT 1)
    FROM waiting_webhook WHERE waiting_webhook.webhook_id IS NOT NULL
), in_flight AS (
    SELECT tenant_id, webhook_id, count(*) AS size FROM webhooks_delivery
    WHERE token IS NOT NULL AND next_attempt_at > statement_timestamp()
        AND hashtext(tenant_id) & %(last_lane)s = %(lane)s
    GROUP BY tenant_id, webhook_id
), head AS (
    SELECT oldest.id, webhook.tenant_id, oldest.next_attempt_at,
        coalesce(in_flight.size, 0) + oldest.position AS turn
    FROM waiting_webhook
    JOIN webhooks_webhook webhook ON webhook.id = waiting_webhook.webhook_id
        AND webhook.status = 'enabled' AND webhook.deleted_at IS NULL
    LEFT JOIN in_flight ON in_flight.webhook_id = webhook.id
    CROSS JOIN LATERAL (
        SELECT id, next_attempt_at, row_number() OVER (ORDER BY next_attempt_at) AS position
        FROM webhooks_delivery waiting
        WHERE waiting.webhook_id = webhook.id AND waiting.status = 'pending'
            AND waiting.next_attempt_at <= statement_timestamp()
        ORDER BY next_attempt_at
        LIMIT greatest(0, %(per_webhook)s - coalesce(in_flight.size, 0))
    ) oldest
), due AS (
    SELECT id FROM (
        SELECT head.id, head.next_attempt_at, coalesce(of_tenant.size, 0)
            + row_number() OVER (PARTITION BY head.tenant_id ORDER BY head.turn, head.next_attempt_at) AS turn
        FROM head
        LEFT JOIN (SELECT tenant_id, sum(size) AS size FROM in_flight GROUP BY tenant_id) of_tenant
            ON of_tenant.tenant_id = head.tenant_id
    ) candidate
    WHERE turn <= %(per_tenant)s
    ORDER BY turn, next_attempt_at
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


def _due_lanes() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(DUE_LANES, {"last_lane": LANES - 1})
        return [lane for (lane,) in cursor.fetchall()]


def _claim_lane(lane: int, at_most: int) -> list[DeliveryLease]:
    bounds = {"per_webhook": MAX_IN_FLIGHT_PER_WEBHOOK, "per_tenant": settings.STOA_DELIVERIES_PER_TENANT}
    parameters = {"lane": lane, "last_lane": LANES - 1, "at_most": at_most, "lease": LEASE_SECONDS, **bounds}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CLAIM_LOCK, {"lane": lane})
        cursor.execute(CLAIM, parameters)
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
