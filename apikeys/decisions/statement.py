"""The one statement that decides and counts a call, and as many more as may be made without asking again.

::

    asked    who asks for what, and which of CHECKS it passes
      │
    locked   the meters that the call would count on, locked until the statement ends
      │
    judged   which of LIMITS it passes, and how many calls are granted
      │
    counted  all of its meters, or none

All on the database's clock. Nothing is cached here: what begins after the commit of a revocation sees it.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from apikeys.decisions.checks import CALLS_UNTIL_THRESHOLDS, CHECKS, LIMITS, METERED
from apikeys.models import LeaseState
from stoa_cp.db.prepared import fetch_one

# With the ten that a decision may be repeated without asking, `last_used_at` is exact to the minute.
LAST_USED_RESOLUTION_SECONDS = 50

HOLDER = """
    apikeys_keysecret secret
    JOIN apikeys_apikey key ON key.id = secret.key_id
    JOIN subscriptions_subscription subscription ON subscription.id = key.subscription_id
    JOIN subscriptions_plan plan ON plan.id = subscription.plan_id
"""
# The API at the path, with whatever the key is.
FROM_PATH = f"""
    tenants_tenant tenant
    JOIN catalog_api api ON api.tenant_id = tenant.id AND api.deleted_at IS NULL
        AND api.path = ANY(%(prefixes)s::text[])
    LEFT JOIN ({HOLDER}) ON secret.digest = ANY(%(digests)s::bytea[])
    WHERE tenant.name = %(tenant)s AND tenant.deleted_at IS NULL
    ORDER BY length(api.path) DESC
    LIMIT 1
"""
# The API that the key was issued for.
FROM_KEY = f"""
    {HOLDER}
    JOIN catalog_api api ON api.id = subscription.api_id
    JOIN tenants_tenant tenant ON tenant.id = api.tenant_id
    WHERE secret.digest = ANY(%(digests)s::bytea[])
"""

# A window never goes back: a call that waited for the lock while the hour changed counts in the new one.
# Locks are taken in the order of the subjects, so that two calls never hold what the other waits for.
# A commit that waits for the disk would keep the lock meanwhile: a busy subscription could make no more calls than the
# disk makes commits. PostgreSQL writes within 0.6 s; what a crash forgets, the caller may call again. A block is worth
# the wait: its calls are on the disk before they are made.
# Of what is left before the next edge a block takes the share of one among several askers, so that blocks shrink to
# single calls on the way there.
STATEMENT = """
WITH asked AS (
    SELECT tenant.id AS tenant_id, api.id AS api_id, api.path AS api_path, api.upstream_url,
        api.deprecated_at, api.sunset_at,
        subscription.id AS subscription_id, subscription.application, plan.slug AS plan,
        CASE WHEN {metered} THEN subscription.rate_limit END AS rate_limit,
        CASE WHEN {metered} THEN subscription.quota END AS quota,
        CASE WHEN {metered} THEN api.requests_per_hour END AS ceiling,
        key.id AS key_id, key.expires_at, {metered} AS is_metered,
        EXISTS (SELECT FROM apikeys_keysecret old
                WHERE old.key_id = key.id AND old.valid_until > statement_timestamp()) AS is_rotating,
        secret.id AS secret_id, secret.digest,
        COALESCE(secret.last_used_at <= statement_timestamp() - interval '{noted_seconds} s', true)
            AS is_use_unrecorded,
        date_trunc('hour', statement_timestamp(), 'UTC') AS hour,
        date_trunc('month', statement_timestamp(), 'UTC') AS month,
        LEAST(secret.valid_until, key.expires_at, subscription.expires_at,
            date_trunc('hour', statement_timestamp(), 'UTC') + interval '1 hour') AS holds_until,
        statement_timestamp() AS asked_at, ARRAY[{checks}] AS checks
    FROM {source}
), metered AS (
    SELECT *, CASE WHEN is_metered AND true = ALL(checks) THEN
        array_remove(ARRAY[subscription_id, CASE WHEN ceiling IS NOT NULL THEN api_id END], NULL) ELSE '{{}}'
        END AS subjects
    FROM asked
), locked AS (
    SELECT meter.*, metered.hour AS this_hour, metered.month AS this_month, metered.api_id
    FROM apikeys_meter meter JOIN metered ON meter.subject = ANY(metered.subjects)
    ORDER BY meter.subject
    FOR NO KEY UPDATE OF meter
), spent AS (
    SELECT count(*) AS meters,
        COALESCE(sum(hour_calls) FILTER (WHERE subject <> api_id AND hour >= this_hour), 0)::bigint AS hour_calls,
        COALESCE(sum(month_calls) FILTER (WHERE subject <> api_id AND month >= this_month), 0)::bigint AS month_calls,
        COALESCE(sum(hour_calls) FILTER (WHERE subject = api_id AND hour >= this_hour), 0)::bigint AS api_calls,
        COALESCE(max(announced_percent) FILTER (WHERE month >= this_month), 0) AS announced_percent,
        COALESCE(bool_or(loans <> '{none}'), false) AS has_leases
    FROM locked
), judged AS (
    SELECT metered.*, spent.*, ARRAY[{limits}] AS limits, meters < cardinality(subjects) AS is_meter_missing,
        GREATEST(%(cost)s, LEAST(%(tokens_wanted)s, LEAST({edges}) / %(token_share)s)) AS granted
    FROM metered CROSS JOIN spent
), counted AS (
    UPDATE apikeys_meter meter SET
        hour_calls = granted + CASE WHEN meter.hour >= judged.hour THEN meter.hour_calls ELSE 0 END,
        month_calls = granted + CASE WHEN meter.month >= judged.month THEN meter.month_calls ELSE 0 END,
        announced_percent = CASE WHEN meter.month >= judged.month THEN meter.announced_percent ELSE 0 END,
        loans = CASE WHEN granted > %(cost)s THEN '{out}' ELSE meter.loans END,
        hour = GREATEST(meter.hour, judged.hour),
        month = GREATEST(meter.month, judged.month)
    FROM judged
    WHERE meter.subject = ANY(judged.subjects) AND true = ALL(judged.limits) AND NOT judged.is_meter_missing
        AND %(cost)s > 0
    RETURNING set_config('synchronous_commit',
        CASE WHEN granted > %(cost)s THEN current_setting('synchronous_commit') ELSE 'off' END, true)
)
SELECT * FROM judged
"""


class Facts(NamedTuple):
    """What the statement says, column by column. Of an anonymous call, all that belongs to a key is None.

    ``hour_calls``, ``month_calls`` and ``api_calls`` are those before this one; ``quota``, ``rate_limit`` and
    ``ceiling`` None are unlimited. ``granted`` calls are counted, this one among them, if it passes. Until
    ``holds_until`` nothing of this changes by itself. ``has_leases`` tells that somebody may hold calls of the meters.
    """

    tenant_id: str
    api_id: str
    api_path: str
    upstream_url: str
    deprecated_at: datetime | None
    sunset_at: datetime | None
    subscription_id: str | None
    application: str | None
    plan: str | None
    rate_limit: int | None
    quota: int | None
    ceiling: int | None
    key_id: str | None
    expires_at: datetime | None
    is_metered: bool
    is_rotating: bool
    secret_id: int | None
    digest: bytes | None
    is_use_unrecorded: bool
    hour: datetime
    month: datetime
    holds_until: datetime
    asked_at: datetime
    checks: list[bool]
    subjects: list[str]
    meters: int
    hour_calls: int
    month_calls: int
    api_calls: int
    announced_percent: int
    has_leases: bool
    limits: list[bool]
    is_meter_missing: bool
    granted: int

    @property
    def hour_ends_at(self) -> datetime:
        return self.hour + timedelta(hours=1)

    @property
    def month_ends_at(self) -> datetime:
        return month_after(self.month)


def month_after(month: datetime) -> datetime:
    """Return when the calendar month ends that begins at ``month``."""
    return (month + timedelta(days=31)).replace(day=1)


def _compose(source: str) -> str:
    statement = STATEMENT.format(
        source=source,
        metered=METERED,
        checks=", ".join(check.condition for check in CHECKS),
        limits=", ".join(limit.condition for limit in LIMITS),
        edges=", ".join(CALLS_UNTIL_THRESHOLDS),
        noted_seconds=LAST_USED_RESOLUTION_SECONDS,
        none=LeaseState.NONE,
        out=LeaseState.LEASED,
    )
    return " ".join(statement.split())


BY_PATH, BY_KEY = _compose(FROM_PATH), _compose(FROM_KEY)


class DecisionParameters(NamedTuple):
    """The statement's parameters. ``tenant`` and ``prefixes`` name a path; without them the key tells the API.

    ``wanted`` calls are granted at most, and of what is left one ``share``-th; ``cost`` calls at least.
    """

    digests: list[bytes]
    cost: int
    tokens_wanted: int = 0
    token_share: int = 1
    api_id: str | None = None
    tenant: str | None = None
    prefixes: list[str] | None = None


def run(parameters: DecisionParameters) -> Facts | None:
    """Decide and count; None if there is no API at the path, or without a path no such key."""
    statement = BY_KEY if parameters.prefixes is None else BY_PATH
    row = fetch_one(statement, parameters._asdict())
    return None if row is None else Facts._make(row)
