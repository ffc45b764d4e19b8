"""Queries about keys that other apps and commands use, and about what a key is issued for."""

from collections import Counter
from datetime import datetime

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apikeys.models import LIVE_STATUSES, ApiKey, ApiKeyQuerySet, KeySecret, KeyStatus
from stoa_cp.db.ids import is_id
from stoa_cp.domain.errors import InvalidField
from subscriptions.models import LIVE_STATUSES as LIVE_SUBSCRIPTIONS
from subscriptions.models import Subscription, SubscriptionStatus
from tenants.models import Tenant
from tenants.queries import find_tenant_ids

START_LENGTH = len("stoa_live_0123")  # what is shown of a secret, before an ellipsis


def newest_live_start() -> Subquery:
    """Return, for a query on subscriptions, the masked start of each one's newest live key."""
    keys = ApiKey.objects.with_status().filter(subscription=OuterRef("pk"))
    keys = keys.filter(status__in=LIVE_STATUSES)  # type: ignore[misc]  # the plugin does not see the annotation
    return Subquery(keys.order_by("-created_at", "-id").values("start")[:1])


def live_secrets() -> QuerySet[KeySecret]:
    """Return the secrets, of all tenants, with which a call may pass now or later, such as after a suspension."""
    return KeySecret.objects.valid().filter(
        Q(key__expires_at=None) | Q(key__expires_at__gt=Now()),
        Q(key__subscription__expires_at=None) | Q(key__subscription__expires_at__gt=Now()),
        key__revoked_at=None,
        key__subscription__status__in=LIVE_SUBSCRIPTIONS,
        key__subscription__api__deleted_at=None,
        key__tenant__deleted_at=None,
    )


def count_secrets_by_pepper() -> Counter[str | None]:
    """Return how many live secrets need each pepper, by its fingerprint; None is unknown."""
    return Counter(dict(live_secrets().order_by().values_list("pepper").annotate(Count("pk"))))


def list_keys_that_need(pepper: str | None, at_most: int) -> list[tuple[str, str, datetime | None]]:
    """Return live keys that need a pepper (None: an unknown one): their tenant's name, their id, and their last use."""
    secrets = live_secrets().filter(pepper=pepper).order_by("key__tenant__name", "key_id", "id")
    return list(secrets.values_list("key__tenant__name", "key_id", "last_used_at")[:at_most])


def narrow_to_status(rows: ApiKeyQuerySet, status: str, tenant: Tenant) -> ApiKeyQuerySet:
    """Leave out those of a tenant's keys that cannot have this status, by an index for each way to get it.

    The status itself follows from several columns of three tables, and a search for a rare one would read all keys.
    """
    keys, subscriptions = ApiKey.objects.filter(tenant=tenant), Subscription.objects.filter(tenant=tenant)
    # A key's subscription is of its tenant; said here, or PostgreSQL may read those of all tenants for a count.
    of_tenant = rows.filter(subscription__tenant=tenant)
    match status:
        case KeyStatus.ROTATING:
            return of_tenant.filter(pk__in=KeySecret.objects.filter(valid_until__gt=Now()).values("key"))
        case KeyStatus.ACTIVE:
            return of_tenant
        case KeyStatus.EXPIRED:
            own, shared = keys.filter(expires_at__lte=Now()), subscriptions.filter(expires_at__lte=Now())
        case KeyStatus.REVOKED:
            own = keys.filter(revoked_at__isnull=False)
            shared = subscriptions.filter(status=SubscriptionStatus.REVOKED)
        case _:
            return rows
    by_subscription = ApiKey.objects.filter(subscription__in=shared)
    return of_tenant.filter(pk__in=own.order_by().values("pk").union(by_subscription.order_by().values("pk")))


def found_by(text: str) -> Q:
    """Return the condition for keys of this id, or of a subscription's or tenant's, of a name, or that begin so."""
    if is_id(text, "key"):
        return Q(id=text)
    if is_id(text, "sub"):
        return Q(subscription=text)
    if text.startswith("stoa_"):
        return Q(start__startswith=text[:START_LENGTH])
    tenants = find_tenant_ids(text)
    return Q(tenant__in=tenants) if tenants else Q(subscription__application=text)


def find_subscription(tenant: Tenant, subscription_id: str) -> Subscription:
    """Return the tenant's subscription that a request names. Raises InvalidField: it is a field of the body."""
    subscription = tenant.subscriptions.filter(id=subscription_id).first()
    if subscription is None:
        raise InvalidField("subscription_id", _("There is no such subscription."))
    return subscription
