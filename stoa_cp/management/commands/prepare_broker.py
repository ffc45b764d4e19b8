"""The command that installs Celery's message queue into PostgreSQL."""

from typing import Any

import psycopg
from celery import current_app
from django.core.management.base import BaseCommand
from django.db import connection

from stoa_cp.jobs.broker import install_queue, uses_postgres


class Command(BaseCommand):
    """Install the queue, unless another broker is configured. Safe to repeat at each release."""

    help = "Install the message queue into PostgreSQL, unless STOA_BROKER_URL names another broker."
    requires_system_checks = []

    def handle(self, **_options: Any) -> None:
        if not uses_postgres(current_app.conf.broker_url):
            self.stdout.write("Another broker is configured: nothing to install.")
            return
        # Not Django's connection: the script has many statements in one string, which cannot be a prepared statement.
        with psycopg.connect(**connection.get_connection_params()) as raw:
            version = install_queue(raw)
        self.stdout.write(f"The queue is ready ({version}).")
