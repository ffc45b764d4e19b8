"""Background work on subscriptions."""

from celery import shared_task

from subscriptions.services.subscriptions import expire_next_subscription


@shared_task(name="subscriptions.expire_due")
def expire_due() -> None:
    """End the active subscriptions whose time is over."""
    while expire_next_subscription():
        pass
