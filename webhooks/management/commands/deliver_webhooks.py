"""The command that delivers webhooks without a broker."""

import signal
from argparse import ArgumentParser
from threading import Event
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import InterfaceError, OperationalError, connection

from webhooks.delivery.worker import POLL_SECONDS, DeliveryWorker

logger = structlog.get_logger(__name__)

# A database that restarts is back within seconds, and a failed connection costs it little.
RECONNECT_SECONDS = 1.0


class Command(BaseCommand):
    """Delivers until SIGTERM or SIGINT, then waits for the attempts in flight and settles them."""

    help = "Fan events out and deliver them to webhooks; any number of these processes share the work."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="stop when nothing is due")
        parser.add_argument(
            "--threads", type=int, default=settings.STOA_WEBHOOK_THREADS, help="deliveries in flight at most"
        )

    def handle(self, *, once: bool, threads: int, **_options: Any) -> None:
        stopping = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _signal, _frame: stopping.set())
        with DeliveryWorker(threads) as worker:
            if once:
                worker.drain(should_stop=stopping.is_set)
            else:
                run(worker, stopping)


def run(worker: DeliveryWorker, stopping: Event) -> None:
    """Deliver what is due, again and again. While the database is unavailable, try again every second."""
    while not stopping.is_set():
        try:
            worker.drain(should_stop=stopping.is_set)
        except (OperationalError, InterfaceError):
            # The next drain settles the attempts in flight. Those of the settlement that failed are made again when
            # their leases end.
            logger.warning("database_unavailable", exc_info=True)
            connection.close()  # outside of a request, Django would keep the broken connection
            stopping.wait(RECONNECT_SECONDS)
        stopping.wait(POLL_SECONDS)
