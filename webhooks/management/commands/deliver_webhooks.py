"""The command that delivers webhooks without a broker."""

import logging
import signal
from argparse import ArgumentParser
from threading import Event
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import InterfaceError, OperationalError, connection

from webhooks.delivery.worker import POLL_SECONDS, DeliveryWorker

logger = logging.getLogger(__name__)

RECONNECT_SECONDS = 1.0


class Command(BaseCommand):
    """Runs the engine until SIGTERM or SIGINT, and then finishes what is on the wire."""

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
        with DeliveryWorker(threads) as engine:
            if once:
                engine.drain(should_stop=stopping.is_set)
            else:
                run(engine, stopping)


def run(engine: DeliveryWorker, stopping: Event) -> None:
    """Drain again and again; a database that is away is waited for."""
    while not stopping.is_set():
        try:
            engine.drain(should_stop=stopping.is_set)
        except (OperationalError, InterfaceError):
            logger.warning("database unavailable", exc_info=True)
            connection.close()
            stopping.wait(RECONNECT_SECONDS)
        stopping.wait(POLL_SECONDS)
