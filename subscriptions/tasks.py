"""Background work on subscriptions."""

from celery import shared_task

from subscriptions import services


@shared_task(name="subscriptions.expire_due")
def expire_due() -> None:
    """End the active subscriptions whose time is over."""
    while services.expire_next_subscription():
        pass
