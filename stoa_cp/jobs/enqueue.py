"""Sends a Celery task after commit so that workers start at once. The periodic sweep finds the work if this fails."""

from contextvars import copy_context
from dataclasses import dataclass
from threading import BoundedSemaphore, Event, Lock, Thread
from time import monotonic

import psycopg
import structlog
from celery import current_app
from django.db import transaction
from kombu import Connection
from kombu.exceptions import OperationalError

from stoa_cp.jobs.broker import PUBLISH_SECONDS, publishing_options

logger = structlog.get_logger(__name__)

# Threads per process that may be sending at once. Sending takes milliseconds, so this many are under way only if the
# broker does not answer; without a bound, every request would leave a thread behind.
MAX_PUBLISHING = 16
# Until then the next sweep finds the work anyway: beat runs the sweeps every 5 s.
COOL_DOWN_SECONDS = 5.0

_publishing = BoundedSemaphore(MAX_PUBLISHING)


@dataclass(slots=True)
class CircuitBreaker:
    """After a failed attempt, tasks are still sent, but callers do not wait until ``open_until`` (monotonic seconds).

    Otherwise a change with ten events would wait ten times.
    """

    open_until: float = 0.0

    def wait_seconds(self) -> float:
        return PUBLISH_SECONDS if monotonic() >= self.open_until else 0.0

    def trip(self) -> None:
        self.open_until = monotonic() + COOL_DOWN_SECONDS


class Publisher:
    """The one connection of this process that tasks are sent over.

    kombu's pool of them has ten, and for a broker in PostgreSQL each would be a session more. Sending takes
    milliseconds, so threads wait for their turn. A connection that has failed is closed, and the next task opens
    another one: kombu would keep it, and a broker that was restarted would get no task from this process again.
    """

    def __init__(self) -> None:
        self._turn = Lock()
        self._connection: Connection | None = None

    def send(self, task_name: str, args: tuple[str, ...]) -> None:
        """Send the task. Raises OperationalError, OSError or psycopg.Error."""
        if not self._turn.acquire(timeout=PUBLISH_SECONDS):
            raise TimeoutError("other tasks are still being sent")
        is_sent = False
        try:
            self._send(task_name, args)
            is_sent = True
        finally:
            if not is_sent:
                self.close()
            self._turn.release()

    def close(self) -> None:
        """Close the connection if there is one."""
        if self._connection is not None:
            self._connection.release()
            self._connection = None

    def _send(self, task_name: str, args: tuple[str, ...]) -> None:
        self._connection = connection = self._connection or _connection()
        try:
            producer = current_app.amqp.Producer(connection)
            # Nothing to declare: workers declare the queue. Here it would take a lock on the queue's table each time.
            current_app.send_task(task_name, args=args, producer=producer, declare=[], retry=False)
        except (*connection.connection_errors, *connection.channel_errors) as error:
            raise OperationalError(str(error)) from error


def _connection() -> Connection:
    url = current_app.conf.broker_url
    return current_app.connection_for_write(
        url, connect_timeout=PUBLISH_SECONDS, transport_options=publishing_options(url)
    )


_breaker = CircuitBreaker()
_publisher = Publisher()


def enqueue_on_commit(task_name: str, *args: str) -> None:
    """Send the task once the transaction has committed; a broker that is away costs 0.2 s and a line in the log."""
    # Robust: the change is committed, so the caller must not see an error of the broker. A lambda and no partial,
    # because Django logs a failed callback by its __qualname__.
    transaction.on_commit(lambda: _publish(task_name, args), robust=True)


def _publish(task_name: str, args: tuple[str, ...]) -> None:
    """Send in a new thread, and wait for it PUBLISH_SECONDS at most.

    The clients' own time-outs do not suffice: psycopg has none for a server that accepted the connection and then
    stops answering.
    """
    is_done = Event()
    if not _publishing.acquire(blocking=False):
        logger.warning("task_not_published", task=task_name, error="too many tasks are being sent")
        return
    # A copy of the context, because the request id goes with the task. A daemon, so that a process can end while its
    # broker does not answer.
    Thread(
        target=copy_context().run, args=(_send_and_report, task_name, args, is_done), name="enqueue", daemon=True
    ).start()
    wait_seconds = _breaker.wait_seconds()
    if not is_done.wait(wait_seconds) and wait_seconds:
        _breaker.trip()
        logger.warning("task_not_published", task=task_name, error="no answer in time")


def _send_and_report(task_name: str, args: tuple[str, ...], is_done: Event) -> None:
    try:
        _publisher.send(task_name, args)
    except (OperationalError, OSError, psycopg.Error) as error:
        _breaker.trip()
        logger.warning("task_not_published", task=task_name, error=str(error))
    finally:
        _publishing.release()
        is_done.set()
