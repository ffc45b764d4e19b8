"""Rings Celery after the commit, so that waiting work is looked at now instead of at the next sweep."""

from contextvars import copy_context
from functools import partial
from threading import BoundedSemaphore, Event, Thread

import structlog
from django.db import transaction
from kombu.exceptions import OperationalError
from kombu.pools import producers

from stoa_cp.broker import PUBLISH_SECONDS, publishing_options
from stoa_cp.celery import app

logger = structlog.get_logger(__name__)

MAX_RINGING = 16  # per process; more are only under way if the broker has fallen silent

_ringing = BoundedSemaphore(MAX_RINGING)


def ring(task_name: str, *args: str) -> None:
    """Send the task once the transaction has committed; a broker that is away costs 0.2 s and a line in the log."""
    transaction.on_commit(partial(_publish, task_name, args), robust=True)


def _publish(task_name: str, args: tuple[str, ...]) -> None:
    """Send in a thread of its own: psycopg knows no deadline for a server that was well and falls silent."""
    is_done = Event()
    if not _ringing.acquire(blocking=False):
        logger.warning("doorbell_not_heard", task=task_name, error="too many rings are under way")
        return
    # In our context, whose request id goes with the task. A daemon: nobody waits for a stuck one at the end.
    Thread(target=copy_context().run, args=(_ring_out, task_name, args, is_done), name="doorbell", daemon=True).start()
    if not is_done.wait(PUBLISH_SECONDS):
        logger.warning("doorbell_not_heard", task=task_name, error="no answer in time")


def _ring_out(task_name: str, args: tuple[str, ...], is_done: Event) -> None:
    try:
        _send(task_name, args)
    except (OperationalError, OSError) as error:
        logger.warning("doorbell_not_heard", task=task_name, error=str(error))
    finally:
        _ringing.release()
        is_done.set()


def _send(task_name: str, args: tuple[str, ...]) -> None:
    url = app.conf.broker_url
    connection = app.connection_for_write(
        url, connect_timeout=PUBLISH_SECONDS, transport_options=publishing_options(url)
    )
    with producers[connection].acquire(block=True, timeout=PUBLISH_SECONDS) as producer:
        # The workers declare the queue: here it would cost a lock on the queue's table.
        app.send_task(task_name, args=args, producer=producer, declare=[], retry=False)
