"""Background work on webhooks: Celery's way into the engine that ``manage.py deliver_webhooks`` runs as well."""

from threading import Lock
from time import monotonic

from celery import shared_task
from django.conf import settings

from webhooks.delivery import fan_out
from webhooks.delivery.retention import forget_old_deliveries
from webhooks.delivery.worker import DeliveryWorker

# A run keeps a worker's slot; whatever is due after it is found by the next, which beat rings within 5 s.
MAX_RUN_SECONDS = 30

_running = Lock()


@shared_task(name="webhooks.fan_out_events")
def fan_out_events() -> None:
    """Turn waiting events into deliveries. The doorbell of every event rings this."""
    while fan_out.fan_out_events():
        pass


@shared_task(name=fan_out.DELIVER_TASK)
def deliver_due() -> None:
    """Deliver what is due; also beat's sweep, which finds the events whose doorbell was lost.

    One run at a time in a process, or rings would fill all its slots: the one under way finds what they rang for.
    """
    if not _running.acquire(blocking=False):
        return
    try:
        _deliver()
    finally:
        _running.release()


def _deliver() -> None:
    ends_at = monotonic() + MAX_RUN_SECONDS
    with DeliveryWorker(settings.STOA_WEBHOOK_THREADS) as engine:
        engine.drain(should_stop=lambda: monotonic() > ends_at)


@shared_task(name="webhooks.forget")
def purge_expired() -> None:
    """Delete deliveries that nobody will ask about any more."""
    forget_old_deliveries()
