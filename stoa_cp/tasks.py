"""The Celery task of the kernel."""

from celery import shared_task

from stoa_cp.ratelimit.counters import delete_expired_counters
from stoa_cp.rest.idempotency import delete_expired_records


@shared_task(name="stoa_cp.forget")
def purge_expired() -> None:
    """Delete the counters whose window is over, and the idempotency records that are past their retention."""
    delete_expired_counters()
    delete_expired_records()
