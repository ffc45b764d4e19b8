"""The statements of a claim: the lanes in which something is due, the lock of a lane, and what is leased in it."""

# Due deliveries, and webhooks, that one claim looks at in a lane. More than the threads of a worker, so that it finds
# enough; and a bound, so that a claim costs no more with 20,000 pending webhooks than with 200. With 16 lanes, up to
# about 1,600 webhooks with something pending are all looked at in each claim.
CANDIDATES = 100

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

# Whether a worker has anything to do: events to fan out, replays, or due deliveries. One statement instead of seven, 4
# times a second. Subqueries with LIMIT, and the first by its index, for the reason above: after a burst, the table of
# marks is long and empty until the next vacuum.
HAS_WORK = """
SELECT (SELECT true FROM stoa_cp_eventdispatch ORDER BY event_id LIMIT 1) IS NOT NULL
    OR EXISTS (SELECT FROM webhooks_replay)
    OR EXISTS (
        SELECT FROM generate_series(0, %(last_lane)s) lane
        WHERE (
            SELECT next_attempt_at FROM webhooks_delivery
            WHERE hashtext(tenant_id) & %(last_lane)s = lane AND status = 'pending'
            ORDER BY next_attempt_at LIMIT 1
        ) <= statement_timestamp()
    )
"""

# One claim at a time in a lane. A claim counts what is in flight for each webhook and tenant, and adds to it. Two
# claims at once would both count the same, because a statement sees only what was committed before it began, and
# both bounds would be exceeded. All deliveries of a tenant are in one lane, so the claims of other lanes do not
# concern its bounds, and need not wait.
# The shared lock is for an upgrade: a worker of the release before takes it alone for each of its claims.
# Asynchronous commit: a crash of the database may lose a claim, and the delivery is claimed again, as after any
# crash. So the claim need not wait for the disk while it holds the lock.
CLAIM_LOCK = """
SELECT set_config('synchronous_commit', 'off', true),
    pg_advisory_xact_lock_shared(hashtext('webhooks.leases')),
    pg_advisory_xact_lock(hashtext('webhooks.lane'), %(lane)s)
"""

# 1. ``oldest``: the lane's oldest due deliveries. As a rule these are all, and the claim reads nothing that is not due:
#    webhooks that wait for a retry cost nothing.
# 2. ``walk``: if there are more, some webhooks with pending deliveries, from a random one on, by a loose index scan:
#    one index probe for each webhook, however long its backlog is. Otherwise a backlog that cannot be sent now, because
#    its webhook has 4 in flight, would hide all that came after it. At the end of the index the walk goes on at its
#    beginning, so that each webhook is found as often as any other.
# 3. ``in_flight``: what is under a lease in this lane, by webhook. Few rows: as many as the workers have threads.
# 4. ``head``: of each of these webhooks, if it is enabled, the oldest due deliveries that still fit under its bound.
# 5. ``due``: of these, as many as fit under the tenant's bound. The order is by turns: the first delivery of every
#    tenant goes before the second of any, and in a tenant it is the same with webhooks. So a long backlog delays only
#    itself, and many webhooks delay only their tenant. A turn counts what is in flight already.
# 6. ``claimed``: locks these rows. SKIP LOCKED, because a redelivery may hold one, and the claim must not wait for
#    it. The conditions are repeated because PostgreSQL checks them again on the newest version of a row that it
#    locks.
# 7. UPDATE: leases them, and returns all that sending takes, so that the senders need no database. The previous
#    secret comes along only while the overlap of its rotation lasts.
#
# Statistics may be from before a burst, and a plan that fits them may read everything: all webhooks (``OFFSET 0`` makes
# PostgreSQL probe them one by one: 19 ms a claim in place of 1.2 s), or all that is due (``status || ''`` keeps it from
# that index).
CLAIM = """
WITH RECURSIVE oldest AS MATERIALIZED (
    SELECT webhook_id FROM webhooks_delivery
    WHERE hashtext(tenant_id) & %(last_lane)s = %(lane)s AND status = 'pending'
        AND next_attempt_at <= statement_timestamp()
    ORDER BY next_attempt_at LIMIT %(candidates)s
), walk (webhook_id, steps, is_second_round) AS (
    SELECT %(start)s::varchar(20) COLLATE "C", 0, false WHERE (SELECT count(*) FROM oldest) = %(candidates)s
    UNION ALL
    SELECT coalesce(later.webhook_id, first.webhook_id), steps + 1, is_second_round OR later.webhook_id IS NULL
    FROM walk
    LEFT JOIN LATERAL (
        SELECT webhook_id FROM webhooks_delivery
        WHERE hashtext(tenant_id) & %(last_lane)s = %(lane)s AND status = 'pending' AND webhook_id > walk.webhook_id
        ORDER BY webhook_id LIMIT 1
    ) later ON true
    LEFT JOIN LATERAL (
        SELECT webhook_id FROM webhooks_delivery
        WHERE later.webhook_id IS NULL
            AND hashtext(tenant_id) & %(last_lane)s = %(lane)s AND status = 'pending'
        ORDER BY webhook_id LIMIT 1
    ) first ON true
    WHERE steps < %(candidates)s AND NOT (is_second_round AND walk.webhook_id > %(start)s)
), candidate AS (
    SELECT webhook_id FROM oldest UNION SELECT webhook_id FROM walk WHERE steps > 0
), in_flight AS (
    SELECT tenant_id, webhook_id, count(*) AS size FROM webhooks_delivery
    WHERE token IS NOT NULL AND next_attempt_at > statement_timestamp()
        AND hashtext(tenant_id) & %(last_lane)s = %(lane)s
    GROUP BY tenant_id, webhook_id
), head AS (
    SELECT oldest.id, webhook.tenant_id, oldest.next_attempt_at,
        coalesce(in_flight.size, 0) + oldest.position AS turn
    FROM candidate
    CROSS JOIN LATERAL (
        SELECT id, tenant_id FROM webhooks_webhook
        WHERE id = candidate.webhook_id AND status = 'enabled' AND deleted_at IS NULL
        OFFSET 0
    ) webhook
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
    WHERE delivery.status || '' = 'pending' AND delivery.next_attempt_at <= statement_timestamp()
    FOR UPDATE OF delivery SKIP LOCKED
)
UPDATE webhooks_delivery delivery
SET attempt = attempt + 1, token = gen_random_uuid(),
    next_attempt_at = statement_timestamp() + %(lease)s * interval '1 second'
FROM claimed, webhooks_webhook webhook
WHERE delivery.id = claimed.id AND webhook.id = delivery.webhook_id
RETURNING delivery.id, delivery.token, delivery.attempt, delivery.attempts_before, delivery.event_id, delivery.body,
    webhook.id, webhook.url, webhook.failure_count > 0,
    (SELECT coalesce(traceparent, '') FROM stoa_cp_event WHERE id = delivery.event_id), webhook.secret,
    CASE WHEN webhook.previous_secret_valid_until > statement_timestamp() THEN webhook.previous_secret END
"""

# What is due for a webhook that is disabled or deleted is due again an hour later. Without it such backlogs would be
# due for ever, and an idle worker would try to claim them every 250 ms. An hour: a backlog of 100,000 costs seconds of
# writing in it. Enabling a webhook makes its backlog due (``services.webhooks``).
# The webhook is locked as well: PostgreSQL then looks at its newest version, and one that is being enabled is left out.
POSTPONE = """
WITH oldest AS MATERIALIZED (
    SELECT id, webhook_id FROM webhooks_delivery
    WHERE hashtext(tenant_id) & %(last_lane)s = %(lane)s AND status = 'pending'
        AND next_attempt_at <= statement_timestamp()
    ORDER BY next_attempt_at LIMIT %(candidates)s
), blocked AS (
    SELECT delivery.id
    FROM oldest JOIN webhooks_delivery delivery ON delivery.id = oldest.id
    JOIN webhooks_webhook webhook ON webhook.id = oldest.webhook_id
    WHERE delivery.status || '' = 'pending' AND delivery.next_attempt_at <= statement_timestamp()
        AND (webhook.status || '' <> 'enabled' OR webhook.deleted_at IS NOT NULL)
    FOR UPDATE OF delivery SKIP LOCKED FOR SHARE OF webhook SKIP LOCKED
)
UPDATE webhooks_delivery delivery
SET next_attempt_at = statement_timestamp() + interval '1 hour', token = NULL
FROM blocked WHERE delivery.id = blocked.id
"""
