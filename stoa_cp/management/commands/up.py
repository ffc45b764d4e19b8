"""The command that runs the development server: `make run` calls it."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from stoa_cp.devserver.cluster import PostgresDidNotStart
from stoa_cp.devserver.session import CannotStart, run
from stoa_cp.devserver.supervisor import ProgramEnded, StopRequested


class Command(BaseCommand):
    """Run the whole control plane in the foreground: PostgreSQL, token issuer, web server, worker and beat."""

    help = "Start everything for development, and stop everything with Ctrl-C."
    requires_system_checks = []

    def handle(self, **_options: Any) -> None:
        if settings.IS_PRODUCTION:
            raise CommandError("`up` is for development: in production run the web server and the worker themselves.")
        try:
            run(settings.STOA_DATA_DIR.absolute(), self._write_line)
        except StopRequested:
            self._write_line("Stopped.")
        except (CannotStart, PostgresDidNotStart, ProgramEnded) as failure:
            raise CommandError(str(failure)) from failure

    def _write_line(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()  # or the lines of a pipe would come in blocks of 8 KB
