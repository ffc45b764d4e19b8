"""Queries about keys that other apps and commands use, and about what a key is issued for."""

from collections import Counter
from datetime import datetime

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apikeys.models import LIVE_STATUSES, ApiKey, KeySecret
from stoa_cp.domain.errors import InvalidField
from subscriptions.models import LIVE_STATUSES as LIVE_SUBSCRIPTIONS
from subscriptions.models import Subscription
from tenants.models import Tenant


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


def find_subscription(tenant: Tenant, subscription_id: str) -> Subscription:
    """Return the tenant's subscription that a request names. Raises InvalidField: it is a field of the body."""
    subscription = tenant.subscriptions.filter(id=subscription_id).first()
    if subscription is None:
        raise InvalidField("subscription_id", _("There is no such subscription."))
    return subscription
