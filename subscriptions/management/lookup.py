"""How the commands find the subscription that an operator names."""

from django.core.management.base import CommandError

from subscriptions.models import Subscription
from subscriptions.queries import find_subscription


def subscription_called(identifier: str) -> Subscription:
    """Return the subscription of this id, in a live tenant. Raises CommandError."""
    subscription = find_subscription(identifier)
    if subscription is None:
        raise CommandError(f"There is no subscription {identifier}.")
    return subscription
