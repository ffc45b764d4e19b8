"""Celery tasks for webhooks. They run the same code as ``manage.py deliver_webhooks``, which needs no broker."""

from threading import Lock
from time import monotonic

from celery import shared_task
from django.conf import settings

from webhooks.delivery import fan_out
from webhooks.delivery.retention import delete_old_deliveries
from webhooks.delivery.worker import DeliveryWorker

# A run occupies one of the Celery worker's slots, and under constant load it would never end. The next run, which beat
# starts within 5 s, finds the rest.
MAX_RUN_SECONDS = 30

_is_delivering = Lock()


@shared_task(name="webhooks.fan_out_events")
def fan_out_events() -> None:
    """Turn new events into deliveries. Every event enqueues this task after its commit."""
    while fan_out.fan_out_events():
        pass


@shared_task(name=fan_out.DELIVER_TASK)
def deliver_due() -> None:
    """Deliver what is due. Beat runs this every 5 s as well, for events whose task was lost.

    One run at a time in a process. Otherwise many tasks could occupy all its slots with waiting for the same slow
    receivers, and other tasks, such as the set-up of a tenant, would wait behind them. A task that finds another one
    running ends at once: the running one finds what is due.
    """
    if not _is_delivering.acquire(blocking=False):
        return
    try:
        _deliver()
    finally:
        _is_delivering.release()


def _deliver() -> None:
    ends_at = monotonic() + MAX_RUN_SECONDS
    with DeliveryWorker(settings.STOA_WEBHOOK_THREADS) as worker:
        worker.drain(should_stop=lambda: monotonic() > ends_at)


@shared_task(name="webhooks.forget")
def purge_expired() -> None:
    """Delete deliveries that are older than their retention."""
    delete_old_deliveries()
