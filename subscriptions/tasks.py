"""Celery tasks of this app."""

from celery import shared_task

from subscriptions.services.subscriptions import expire_next_subscription


@shared_task(name="subscriptions.expire_due")
def expire_due() -> None:
    """End the active subscriptions whose time is over. Idempotent: one that is ended is not due any more."""
    while expire_next_subscription():
        pass
