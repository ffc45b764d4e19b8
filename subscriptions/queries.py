"""What operators are shown first: how much there is, and who waits for a decision."""

from dataclasses import dataclass

from catalog.models import Api
from subscriptions.models import Subscription, SubscriptionQuerySet, SubscriptionStatus
from tenants.models import Tenant


@dataclass(frozen=True, slots=True)
class SubscriptionCounts:
    """How much there is, without what went with a deleted tenant."""

    tenants: int
    apis: int
    active_subscriptions: int
    pending_approvals: int


def count_subscriptions() -> SubscriptionCounts:
    """Count what the dashboard begins with."""
    return SubscriptionCounts(
        tenants=Tenant.objects.live().count(),
        apis=Api.objects.live().filter(tenant__deleted_at=None).count(),
        active_subscriptions=_of_live_tenants().filter(status=SubscriptionStatus.ACTIVE).count(),
        pending_approvals=count_pending(),
    )


def count_pending() -> int:
    """Return how many subscriptions wait for an approver."""
    return _of_live_tenants().pending().count()


def oldest_pending(limit: int) -> list[Subscription]:
    """Return those that wait for an approver, the longest-waiting first, with their API, tenant and plan."""
    waiting = _of_live_tenants().pending().select_related("api__tenant", "plan")
    return list(waiting.order_by("created_at", "id")[:limit])


def _of_live_tenants() -> SubscriptionQuerySet:
    rows: SubscriptionQuerySet = Subscription.objects.filter(tenant__deleted_at=None)
    return rows
