"""Finds one subscription for forms and commands, and counts and lists them for the console's dashboard and sidebar."""

from django.db.models import Q

from stoa_cp.db.bounds import count_up_to
from stoa_cp.db.ids import is_id
from subscriptions.models import Subscription, SubscriptionQuerySet, SubscriptionStatus
from tenants.queries import find_tenant_ids


def count_active(limit: int) -> int:
    """Return how many subscriptions are active; ``limit`` if there are more."""
    return count_up_to(limit, _of_live_tenants().filter(status=SubscriptionStatus.ACTIVE))


def count_pending(limit: int) -> int:
    """Return how many subscriptions wait for an approver; ``limit`` if there are more."""
    return count_up_to(limit, _of_live_tenants().pending())


def oldest_pending(limit: int) -> list[Subscription]:
    """Return those that wait for an approver, the longest-waiting first, with their API, tenant and plan."""
    waiting = _of_live_tenants().pending().select_related("api__tenant", "plan")
    return list(waiting.order_by("created_at", "id")[:limit])


def found_by(text: str) -> Q:
    """Return the condition for subscriptions by id (own, API, tenant) or name (tenant, application)."""
    if is_id(text, "sub"):
        return Q(id=text)
    if is_id(text, "api"):
        return Q(api=text)
    tenants = find_tenant_ids(text)
    return Q(tenant__in=tenants) if tenants else Q(application=text)


def find_subscription(subscription_id: str) -> Subscription | None:
    """Return the subscription of this id with its plan and its tenant; None if there is none in a live tenant."""
    return _of_live_tenants().select_related("plan", "tenant").filter(id=subscription_id).first()


def _of_live_tenants() -> SubscriptionQuerySet:
    # Deleting a tenant changes its own row only: the status of its subscriptions stays.
    rows: SubscriptionQuerySet = Subscription.objects.filter(tenant__deleted_at=None)
    return rows
