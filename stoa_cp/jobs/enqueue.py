"""Rings Celery after the commit, so that waiting work is looked at now instead of at the next sweep."""

from contextvars import copy_context
from dataclasses import dataclass
from threading import BoundedSemaphore, Event, Thread
from time import monotonic

import psycopg
import structlog
from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError
from kombu.pools import producers

from stoa_cp.jobs.broker import PUBLISH_SECONDS, publishing_options

logger = structlog.get_logger(__name__)

MAX_PUBLISHING = 16  # per process; more are only under way if the broker has fallen silent

COOL_DOWN_SECONDS = 5.0  # as long as the next sweep takes

_publishing = BoundedSemaphore(MAX_PUBLISHING)


@dataclass(slots=True)
class CircuitBreaker:
    """From when on (monotonic seconds) a caller waits for the broker again: a change with ten events waits once."""

    open_until: float = 0.0

    def wait_seconds(self) -> float:
        return PUBLISH_SECONDS if monotonic() >= self.open_until else 0.0

    def trip(self) -> None:
        self.open_until = monotonic() + COOL_DOWN_SECONDS


_breaker = CircuitBreaker()


def enqueue_on_commit(task_name: str, *args: str) -> None:
    """Send the task once the transaction has committed; a broker that is away costs 0.2 s and a line in the log."""
    transaction.on_commit(lambda: _publish(task_name, args), robust=True)


def _publish(task_name: str, args: tuple[str, ...]) -> None:
    """Send in a thread of its own: psycopg knows no deadline for a server that was well and falls silent."""
    is_done = Event()
    if not _publishing.acquire(blocking=False):
        logger.warning("task_not_published", task=task_name, error="too many rings are under way")
        return
    # In our context, whose request id goes with the task. A daemon: nobody waits for a stuck one at the end.
    Thread(
        target=copy_context().run, args=(_send_and_report, task_name, args, is_done), name="doorbell", daemon=True
    ).start()
    wait_seconds = _breaker.wait_seconds()
    if not is_done.wait(wait_seconds) and wait_seconds:
        _breaker.trip()
        logger.warning("task_not_published", task=task_name, error="no answer in time")


def _send_and_report(task_name: str, args: tuple[str, ...], is_done: Event) -> None:
    try:
        _send(task_name, args)
    except (OperationalError, OSError, psycopg.Error) as error:
        _breaker.trip()
        logger.warning("task_not_published", task=task_name, error=str(error))
    finally:
        _publishing.release()
        is_done.set()


def _send(task_name: str, args: tuple[str, ...]) -> None:
    url = current_app.conf.broker_url
    connection = current_app.connection_for_write(
        url, connect_timeout=PUBLISH_SECONDS, transport_options=publishing_options(url)
    )
    with producers[connection].acquire(block=True, timeout=PUBLISH_SECONDS) as producer:
        # The workers declare the queue: here it would cost a lock on the queue's table.
        current_app.send_task(task_name, args=args, producer=producer, declare=[], retry=False)
