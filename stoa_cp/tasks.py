"""Background work of the kernel."""

from celery import shared_task

from stoa_cp.ratelimit.counters import delete_expired_counters
from stoa_cp.rest.idempotency import delete_expired_records


@shared_task(name="stoa_cp.forget")
def purge_expired() -> None:
    """Delete the counters whose window is over and the answers that no retry can ask for any more."""
    delete_expired_counters()
    delete_expired_records()
