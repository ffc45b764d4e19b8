"""The checks and limits that a call must pass, in SQL: the parts of ``apikeys.decisions.statement``.

Decisions, their reasons and their explanations all come from these tables, so they cannot differ.
"""

from typing import NamedTuple

from apikeys.decisions.reasons import Reason
from apikeys.event_types import QuotaEvent
from apikeys.models import Mode
from catalog.models import ApiStatus
from subscriptions.models import SubscriptionStatus
from tenants.models import TenantStatus


class Check(NamedTuple):
    """A condition in SQL, and the reason for refusing a call that does not meet it.

    Without a key, or with an unknown one, the columns of key, subscription and plan are NULL: then their checks pass,
    and ``key_sent`` or ``key_known`` decides.
    """

    name: str
    reason: Reason
    condition: str


# In this order: the first check that fails is the reason of the refusal.
CHECKS = (
    Check("key_sent", Reason.KEY_MISSING, "cardinality(%(digests)s::bytea[]) > 0 OR NOT api.auth_required"),
    Check("key_known", Reason.KEY_UNKNOWN, "cardinality(%(digests)s::bytea[]) = 0 OR secret.id IS NOT NULL"),
    Check("key_unrevoked", Reason.KEY_REVOKED, "key.revoked_at IS NULL AND tenant.deleted_at IS NULL"),
    Check("key_current", Reason.KEY_REVOKED, "COALESCE(secret.valid_until > statement_timestamp(), true)"),
    Check("key_unexpired", Reason.KEY_EXPIRED, "COALESCE(key.expires_at > statement_timestamp(), true)"),
    Check("tenant_open", Reason.TENANT_SUSPENDED, f"tenant.status <> '{TenantStatus.SUSPENDED}'"),
    Check(
        "api_subscribed",
        Reason.API_NOT_SUBSCRIBED,
        "COALESCE(subscription.api_id = api.id, true) AND COALESCE(api.id = %(api_id)s::text, true)",
    ),
    Check(
        "subscription_unrevoked",
        Reason.SUBSCRIPTION_REVOKED,
        f"COALESCE(subscription.status <> '{SubscriptionStatus.REVOKED}', true)",
    ),
    Check(
        "subscription_unexpired",
        Reason.SUBSCRIPTION_EXPIRED,
        f"COALESCE(subscription.status <> '{SubscriptionStatus.EXPIRED}', true)"
        " AND COALESCE(subscription.expires_at > statement_timestamp(), true)",
    ),
    Check(
        "subscription_open",
        Reason.SUBSCRIPTION_SUSPENDED,
        f"COALESCE(subscription.status = '{SubscriptionStatus.ACTIVE}', true)",
    ),
    Check("api_active", Reason.API_INACTIVE, f"api.status <> '{ApiStatus.INACTIVE}' AND api.deleted_at IS NULL"),
    Check("upstream_allowed", Reason.UPSTREAM_REFUSED, "api.upstream_refused_at IS NULL"),
    Check(
        "test_mode_available",
        Reason.TEST_MODE_UNAVAILABLE,
        f"COALESCE(key.mode <> '{Mode.TEST}' OR (api.sandbox_url IS NOT NULL AND %(follows_upstream)s), true)",
    ),
    # Where the key may be used: last, because the other reasons are the same from everywhere. The cache has these three
    # in Python (``apikeys.decisions.call``).
    Check(
        "address_allowed",
        Reason.ADDRESS_NOT_ALLOWED,
        "COALESCE(%(address)s::inet <<= ANY(key.allowed_ips), key.allowed_ips IS NULL)",
    ),
    Check("method_allowed", Reason.METHOD_NOT_ALLOWED, "COALESCE(key.allowed_methods && %(methods)s::text[], true)"),
    # Slashes at the ends, so that only whole segments match. CASE: nearly all keys are for all paths.
    Check(
        "path_allowed",
        Reason.PATH_NOT_ALLOWED,
        "CASE WHEN key.allowed_paths IS NULL THEN true ELSE COALESCE("
        "(SELECT bool_or(starts_with(%(path)s::text || '/', rtrim(api.path, '/') || rtrim(allowed, '/') || '/'))"
        " FROM unnest(key.allowed_paths) AS allowed), false) END",
    ),
)
# Compared with the meters. The month comes first: a caller whose month is used up must not be told to wait for the next
# hour. GREATEST(cost, 1): a call of cost 0 passes where one of cost 1 would.
LIMITS = (
    Check("quota_left", Reason.QUOTA_EXCEEDED, "COALESCE(month_calls + GREATEST(%(cost)s, 1) <= quota, true)"),
    Check("hour_left", Reason.RATE_LIMITED, "COALESCE(hour_calls + GREATEST(%(cost)s, 1) <= rate_limit, true)"),
    Check("api_hour_left", Reason.RATE_LIMITED, "COALESCE(api_calls + GREATEST(%(cost)s, 1) <= ceiling, true)"),
)

# Percent of a month's quota, and the event that is emitted once a month when they are used.
ANNOUNCEMENTS = ((80, QuotaEvent.WARNING), (100, QuotaEvent.EXCEEDED))
# How many calls are left until a limit is reached, or an announcement is due. A block of tokens ends before each of
# these: so the call that reaches it goes to PostgreSQL, which refuses or announces. NULL: no limit, or announced
# already.
CALLS_UNTIL_THRESHOLDS = (
    "rate_limit - hour_calls",
    "ceiling - api_calls",
    *(
        f"CASE WHEN month_calls * 100 < quota * {percent} THEN (quota * {percent} + 99) / 100 - month_calls END"
        for percent, _event in ANNOUNCEMENTS
    ),
)
