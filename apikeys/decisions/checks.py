"""What a call must meet to pass, in SQL: the parts of ``apikeys.decisions.statement``."""

from typing import NamedTuple

from apikeys.decisions.reasons import Reason
from apikeys.event_types import QuotaEvent
from apikeys.models import Mode
from catalog.models import ApiStatus
from subscriptions.models import SubscriptionStatus
from tenants.models import TenantStatus


class Check(NamedTuple):
    """A condition in SQL, and why a call is refused that does not meet it. Nulls are what there is no key for."""

    name: str
    reason: Reason
    condition: str


# In this order: the first that fails is the reason.
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
)
# What can be asked of the meters: waiting for the next hour helps nobody whose month is used up.
LIMITS = (
    Check("quota_left", Reason.QUOTA_EXCEEDED, "COALESCE(month_calls + GREATEST(%(cost)s, 1) <= quota, true)"),
    Check("hour_left", Reason.RATE_LIMITED, "COALESCE(hour_calls + GREATEST(%(cost)s, 1) <= rate_limit, true)"),
    Check("api_hour_left", Reason.RATE_LIMITED, "COALESCE(api_calls + GREATEST(%(cost)s, 1) <= ceiling, true)"),
)

# Percent of a month's quota, and the event that says once in each month that they are used.
ANNOUNCEMENTS = ((80, QuotaEvent.WARNING), (100, QuotaEvent.EXCEEDED))
# How many calls are left before something happens: a limit is reached, or an announcement is due.
CALLS_UNTIL_THRESHOLDS = (
    "rate_limit - hour_calls",
    "ceiling - api_calls",
    *(
        f"CASE WHEN month_calls * 100 < quota * {percent} THEN (quota * {percent} + 99) / 100 - month_calls END"
        for percent, _event in ANNOUNCEMENTS
    ),
)

# A test key has no limits, and counts on none; a call without a key counts on the API's ceiling.
METERED = f"COALESCE(key.mode <> '{Mode.TEST}', true)"
