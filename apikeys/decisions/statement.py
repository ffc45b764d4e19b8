"""The one statement that decides on a call and counts it, and may lease tokens for the next calls.

::

    checked  the rows of the call: key, subscription, API, tenant; and which of CHECKS it passes
      │
    metered  which meters it counts on: none, the subscription's, the API's
      │
    locked   these meters, locked until the statement ends
      │
    spent    the calls of this hour and this month on them
      │
    judged   which of LIMITS the call passes, and how many calls are granted: its own, and leased tokens
      │
    counted  the granted calls are added to all of its meters, or to none

All times are the database's. The statement reads the tables themselves: once a revocation is committed, it refuses.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from apikeys.decisions.checks import CALLS_UNTIL_THRESHOLDS, CHECKS, LIMITS
from apikeys.decisions.sources import FROM_KEY, FROM_PATH
from apikeys.decisions.windows import month_after
from apikeys.models import TEST_METER_PREFIX, LeaseState, Mode
from stoa_cp.db.prepared import fetch_one
from stoa_cp.net.client_address import Network

# ``last_used_at`` is written at most once in 50 s. A cached decision is used for 10 s more without looking, so the time
# is exact to the minute.
LAST_USED_RESOLUTION_SECONDS = 50

# One statement, because it is one round trip for each call, and because a subscription's and an API's meter must both
# count a call, or neither. With PostgreSQL alone, verification runs 5.7 times as often per second as an ordinary view
# of Django REST framework with the same exact limits. Why it is as it is:
#
# - The meters are locked in the order of their subjects, here and everywhere: two calls that need the same two meters
#   cannot deadlock.
# - GREATEST(meter.hour, judged.hour): a window never goes back. A call may wait for the lock while the hour changes;
#   others have then begun the new hour, and it counts there.
# - synchronous_commit: a commit that waits for the disk would hold the lock for that time, and a subscription could
#   make no more calls than the disk makes commits. So a single call commits asynchronously. PostgreSQL writes it within
#   0.6 s; a crash before that forgets it, in the caller's favour. A block commits synchronously: its tokens are used
#   without PostgreSQL, so their count must survive any crash.
# - LEAST({thresholds}) / token_share: one process takes only a share of the calls that are left, so that blocks shrink
#   to single calls near a limit. LEAST ignores NULL, which is an unlimited one.
# - PostgreSQL runs it by a generic plan (DATABASES in the settings). Left to itself, it would plan again at each call,
#   for the arrays in it: 1.2 ms instead of 0.25 ms.
STATEMENT = """
WITH checked AS (
    SELECT tenant.id AS tenant_id, api.id AS api_id, api.path AS api_path,
        COALESCE(key.mode, '{live}') AS mode,
        CASE WHEN key.mode = '{test}' THEN api.sandbox_url ELSE api.upstream_url END AS upstream_url,
        api.deprecated_at, api.sunset_at,
        subscription.id AS subscription_id, subscription.application, plan.slug AS plan,
        subscription.rate_limit, subscription.quota,
        CASE WHEN key.mode = '{test}' THEN NULL ELSE api.requests_per_hour END AS ceiling,
        CASE WHEN key.mode = '{test}' THEN '{test_meter}' || substr(subscription.id, 5) ELSE subscription.id END
            AS meter,
        key.id AS key_id, key.expires_at,
        key.allowed_ips, key.allowed_methods, key.allowed_paths,
        EXISTS (SELECT FROM apikeys_keysecret old
                WHERE old.key_id = key.id AND old.valid_until > statement_timestamp()) AS is_rotating,
        secret.id AS secret_id, secret.digest,
        COALESCE(secret.last_used_at <= statement_timestamp() - interval '{resolution} s', true)
            AS is_use_unrecorded,
        date_trunc('hour', statement_timestamp(), 'UTC') AS hour,
        date_trunc('month', statement_timestamp(), 'UTC') AS month,
        LEAST(secret.valid_until, key.expires_at, subscription.expires_at,
            date_trunc('hour', statement_timestamp(), 'UTC') + interval '1 hour') AS holds_until,
        statement_timestamp() AS decided_at, ARRAY[{checks}] AS checks
    FROM {source}
), metered AS (
    SELECT *, CASE WHEN true = ALL(checks) THEN
        array_remove(ARRAY[meter, CASE WHEN ceiling IS NOT NULL THEN api_id END], NULL) ELSE '{{}}'
        END AS subjects
    FROM checked
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
        GREATEST(%(cost)s, LEAST(%(tokens_wanted)s, LEAST({thresholds}) / %(token_share)s)) AS granted
    FROM metered CROSS JOIN spent
), counted AS (
    UPDATE apikeys_meter meter SET
        hour_calls = granted + CASE WHEN meter.hour >= judged.hour THEN meter.hour_calls ELSE 0 END,
        month_calls = granted + CASE WHEN meter.month >= judged.month THEN meter.month_calls ELSE 0 END,
        announced_percent = CASE WHEN meter.month >= judged.month THEN meter.announced_percent ELSE 0 END,
        loans = CASE WHEN granted > %(cost)s THEN '{leased}' ELSE meter.loans END,
        hour = GREATEST(meter.hour, judged.hour),
        month = GREATEST(meter.month, judged.month)
    FROM judged
    WHERE meter.subject = ANY(judged.subjects) AND true = ALL(judged.limits) AND NOT judged.is_meter_missing
        AND %(cost)s > 0
    RETURNING set_config('synchronous_commit',
        CASE WHEN granted > %(cost)s THEN current_setting('synchronous_commit') ELSE 'off' END, true)
)
SELECT {columns} FROM judged
"""


class Facts(NamedTuple):
    """One row of the statement; each field is a column of ``judged``, selected by its name.

    Without a key, all fields of the key, the subscription and the plan are None.
    """

    tenant_id: str
    api_id: str
    api_path: str
    mode: str
    # Of the mode; None if the API has no sandbox.
    upstream_url: str | None
    deprecated_at: datetime | None
    sunset_at: datetime | None
    subscription_id: str | None
    application: str | None
    plan: str | None
    # None is unlimited. ``ceiling`` is the limit of the API, for all of its callers together.
    rate_limit: int | None
    quota: int | None
    ceiling: int | None
    # The meter of the subscription, in this mode.
    meter: str | None
    key_id: str | None
    expires_at: datetime | None
    # Where the key may be used; None is anywhere.
    allowed_ips: list[Network] | None
    allowed_methods: list[str] | None
    allowed_paths: list[str] | None
    is_rotating: bool
    secret_id: int | None
    digest: bytes | None
    is_use_unrecorded: bool
    # When this hour and this month began.
    hour: datetime
    month: datetime
    # Until then, no check changes its result just because time passes.
    holds_until: datetime
    decided_at: datetime
    # Whether the call passes each of CHECKS, in their order.
    checks: list[bool]
    # The meters that the call counts on, and how many of them exist.
    subjects: list[str]
    meters: int
    # Without this call.
    hour_calls: int
    month_calls: int
    api_calls: int
    announced_percent: int
    # Processes may hold unused tokens of these meters.
    has_leases: bool
    # Whether the call passes each of LIMITS, in their order.
    limits: list[bool]
    is_meter_missing: bool
    # How many calls were counted if this one passes: its own cost, and leased tokens.
    granted: int

    @property
    def is_restricted(self) -> bool:
        """Whether the key is for some calls only; a test key is for gateways that lead to the sandbox."""
        restrictions = (self.allowed_ips, self.allowed_methods, self.allowed_paths)
        return self.mode == Mode.TEST or any(each is not None for each in restrictions)

    @property
    def hour_ends_at(self) -> datetime:
        return self.hour + timedelta(hours=1)

    @property
    def month_ends_at(self) -> datetime:
        return month_after(self.month)


def _compose(source: str) -> str:
    statement = STATEMENT.format(
        source=source,
        columns=", ".join(Facts._fields),
        checks=", ".join(check.condition for check in CHECKS),
        limits=", ".join(limit.condition for limit in LIMITS),
        thresholds=", ".join(CALLS_UNTIL_THRESHOLDS),
        resolution=LAST_USED_RESOLUTION_SECONDS,
        live=Mode.LIVE,
        test=Mode.TEST,
        test_meter=TEST_METER_PREFIX,
        none=LeaseState.NONE,
        leased=LeaseState.LEASED,
    )
    # Without line breaks and indentation, because psycopg caches what it has parsed of a statement only up to 4,096
    # characters. With 5,000 these two are longer, so each execution parses them again, in about 0.03 ms.
    return " ".join(statement.split())


# Two statements instead of one with OR: the joins of one begin at the tenant, those of the other at the key.
BY_PATH, BY_KEY = _compose(FROM_PATH), _compose(FROM_KEY)


class DecisionParameters(NamedTuple):
    """The statement's parameters. ``tenant`` and ``prefixes`` name a path; without them the key selects the API.

    At least ``cost`` calls are granted. At most ``tokens_wanted``, and at most 1/``token_share`` of what is left.
    ``path`` is the whole path below the tenant; with ``address`` and ``methods`` it is what a key may restrict.
    ``tenants`` are the only ones to look in; None: all.
    """

    digests: list[bytes]
    # Never empty: for psycopg an empty list has another type, and each connection would prepare one statement more.
    methods: list[str]
    follows_upstream: bool
    cost: int
    tokens_wanted: int = 0
    token_share: int = 1
    api_id: str | None = None
    tenant: str | None = None
    prefixes: list[str] | None = None
    path: str | None = None
    address: str | None = None
    tenants: list[str] | None = None


def run(parameters: DecisionParameters) -> Facts | None:
    """Decide on a call and count it. Return None if there is no API at the path, or, without a path, no such key."""
    statement = BY_KEY if parameters.prefixes is None else BY_PATH
    row = fetch_one(statement, parameters._asdict())
    return None if row is None else Facts._make(row)
