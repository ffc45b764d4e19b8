"""Celery tasks for webhooks. They run the same code as ``manage.py deliver_webhooks``, which needs no broker."""

from collections.abc import Callable
from threading import Lock
from time import monotonic

from celery import shared_task
from django.conf import settings

from webhooks.delivery import fan_out
from webhooks.delivery.retention import delete_deleted_webhooks, delete_old_deliveries
from webhooks.delivery.worker import DeliveryWorker

# A run occupies one of the Celery worker's slots, and under constant load it would never end. The next run, which beat
# starts within 5 s, finds the rest.
MAX_RUN_SECONDS = 30

_is_fanning_out = Lock()
_is_delivering = Lock()


@shared_task(name="webhooks.fan_out_events")
def fan_out_events() -> None:
    """Turn new events into deliveries. Every event enqueues this task after its commit."""
    _run_alone(_is_fanning_out, _fan_out)


@shared_task(name=fan_out.DELIVER_TASK)
def deliver_due() -> None:
    """Deliver what is due. Beat runs this every 5 s as well, for events whose task was lost."""
    _run_alone(_is_delivering, _deliver)


def _run_alone(lock: Lock, run: Callable[[], None]) -> None:
    """Run, or return at once if another task of this process does the same: that one finds what is waiting.

    Otherwise many tasks could occupy all slots of the process with the same slow receivers, or with the events of one
    tenant, and other tasks, such as the set-up of a tenant, would wait behind them.
    """
    if not lock.acquire(blocking=False):
        return
    try:
        run()
    finally:
        lock.release()


def _fan_out() -> None:
    ends_at = monotonic() + MAX_RUN_SECONDS
    while fan_out.fan_out_events() and monotonic() < ends_at:
        pass


def _deliver() -> None:
    ends_at = monotonic() + MAX_RUN_SECONDS
    with DeliveryWorker(settings.STOA_WEBHOOK_THREADS) as worker:
        worker.drain(should_stop=lambda: monotonic() > ends_at)


@shared_task(name="webhooks.forget")
def purge_expired() -> None:
    """Delete deliveries that are older than their retention, and then deleted webhooks that have none left."""
    delete_old_deliveries()
    while delete_deleted_webhooks():
        pass
