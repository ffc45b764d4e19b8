"""Finds one subscription for forms and commands, and counts and lists them for the console's dashboard and sidebar."""

from subscriptions.models import Subscription, SubscriptionQuerySet, SubscriptionStatus


def count_active() -> int:
    """Return how many subscriptions are active."""
    return _of_live_tenants().filter(status=SubscriptionStatus.ACTIVE).count()


def count_pending() -> int:
    """Return how many subscriptions wait for an approver."""
    return _of_live_tenants().pending().count()


def oldest_pending(limit: int) -> list[Subscription]:
    """Return those that wait for an approver, the longest-waiting first, with their API, tenant and plan."""
    waiting = _of_live_tenants().pending().select_related("api__tenant", "plan")
    return list(waiting.order_by("created_at", "id")[:limit])


def find_subscription(subscription_id: str) -> Subscription | None:
    """Return the subscription of this id with its plan and its tenant; None if there is none in a live tenant."""
    return _of_live_tenants().select_related("plan", "tenant").filter(id=subscription_id).first()


def _of_live_tenants() -> SubscriptionQuerySet:
    # Deleting a tenant changes its own row only: the status of its subscriptions stays.
    rows: SubscriptionQuerySet = Subscription.objects.filter(tenant__deleted_at=None)
    return rows
