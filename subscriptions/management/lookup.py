"""What the commands call a subscription."""

from django.core.management.base import CommandError

from subscriptions.models import Subscription


def subscription_called(identifier: str) -> Subscription:
    """Return the subscription of this id, in a live tenant. Raises CommandError."""
    rows = Subscription.objects.select_related("plan", "tenant").filter(tenant__deleted_at=None)
    subscription = rows.filter(id=identifier).first()
    if subscription is None:
        raise CommandError(f"There is no subscription {identifier}.")
    return subscription
