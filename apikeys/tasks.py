"""Background work on API keys."""

from celery import shared_task

from apikeys.services.expiry_warnings import announce_next_expiry


@shared_task(name="apikeys.announce_expiries")
def announce_expiries() -> None:
    """Announce the keys that expire soon, and those that have expired."""
    while announce_next_expiry():
        pass
