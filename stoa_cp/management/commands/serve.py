"""The command that starts the web server, after it has checked the settings once."""

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from stoa_cp.observability.logs import check_settings

# Longer than a slow call: granian then kills a process that does not end by itself. A process that is told to end while
# it starts does not notice, and would stay for ever.
KILL_SECONDS = 30


class Command(BaseCommand):
    """Check the settings, then become granian with the options of production.

    granian's own processes check the settings as well. But a process of granian that refuses to start is started again,
    with the port open: on a slow machine for ever.
    """

    help = "Start the web server. Ends with a sentence if a setting is wrong."
    requires_system_checks = []  # ``handle`` runs them: what is doubtful is then a line of the log

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.STOA_HOST, help="the address to listen at")
        parser.add_argument("--port", default=settings.STOA_PORT, type=int, help="the port to listen at")
        parser.add_argument("--workers", default=2, type=int, help="how many processes answer")
        parser.add_argument(
            "--workers-kill-timeout",
            default=KILL_SECONDS,
            type=int,
            help="after how many seconds a process that was told to end is killed",
        )

        parser.add_argument("granian", nargs="*", metavar="-- OPTIONS", help="further options of granian")

    def handle(self, *, host: str, port: int, workers: int, **options: Any) -> None:
        check_settings("security", "urls")
        chosen = {
            "--interface": "wsgi",
            "--host": host,
            "--port": port,
            "--workers": workers,
            # The number that the service itself counts with.
            "--blocking-threads": settings.STOA_WEB_THREADS,
            "--workers-kill-timeout": options["workers_kill_timeout"],
        }
        arguments = [text for name, value in chosen.items() for text in (name, str(value))]
        # Without --respawn-failed-workers, one killed process ends the whole server.
        command = [sys.executable, "-m", "granian", *arguments, "--no-ws", "--respawn-failed-workers"]
        if settings.IS_PRODUCTION:
            # The lines of granian itself: they would be plain text between the JSON of all others.
            command += ["--log-config", str(settings.BASE_DIR / "stoa_cp" / "granian-logging.json")]
        command += options["granian"]
        # The same process: signals and its supervisor reach granian, and Django's memory is given back.
        os.execv(sys.executable, [*command, "stoa_cp.wsgi:application"])  # noqa: S606 - the command is our own
