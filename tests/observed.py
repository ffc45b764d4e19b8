"""The service as the guide starts it in production, over the database of the test: web, worker, beat, and one log."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection

from stoa_cp.devserver.cluster import free_port
from stoa_cp.devserver.programs import is_answering
from stoa_cp.guide.pages import read_page
from stoa_cp.jobs.broker import install_queue
from tests.databases import database_url
from tests.faults.processes import Process, running
from tests.project.documents import arguments_of, blocks
from tests.sessions import end_other_sessions
from tests.waiting import wait_until

START_SECONDS = 120
METRICS_TOKEN = "4t7Yw1zQ9cR6mK2pX8vN5bH3jL0fD-sE"
# The encryption key is the one of the tests' own process: it stores the secrets of webhooks that the worker reads.
SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "stoa_cp.settings",
    "STOA_ENV": "production",
    "STOA_SECRET_KEY": "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "STOA_KEY_PEPPERS": "pJ4c0vQm8xZr1tYb6nWk3sLd9fGh2aUe",
    "STOA_ALLOWED_HOSTS": "127.0.0.1",
    "STOA_OIDC_ISSUER": "https://idp.example.com/realms/stoa",
    "STOA_BROKER_URL": "",
    "STOA_BEHIND_TLS_PROXY": "false",
    "STOA_SSL_REDIRECT": "false",
    "STOA_METRICS_TOKEN": METRICS_TOKEN,
    "STOA_ALLOW_HTTP_WEBHOOKS": "true",
    "STOA_EGRESS_ALLOW": "127.0.0.0/8",
    # The tests may run as root, of which Celery warns before anything can be set. The service does not run as root.
    "PYTHONWARNINGS": "ignore:You're running the worker",
}


@dataclass(frozen=True, slots=True)
class Service:
    """The running service: where it answers, where it logs, and the main processes of its programs."""

    port: int
    log: Path
    web: Process
    worker: Process

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        client = HTTPConnection("127.0.0.1", self.port, timeout=30)
        client.request("GET", path, headers=headers)
        response = client.getresponse()
        answer = response.status, response.read()
        client.close()
        return answer

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of the log. Raises ValueError for one that is no JSON object."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def has_logged(self, event: str) -> bool:
        return f'"{event}"' in self.log.read_text()


def commands() -> dict[str, list[str]]:
    """Return the commands of the guide's page for production, by program: web, worker, beat."""
    text = "".join(blocks(read_page("production").text, "sh"))
    (serve,) = [words for words in arguments_of("manage.py", text) if words.startswith("serve")]
    found = {"web": [sys.executable, "manage.py", *serve.split()]}
    for arguments in arguments_of("celery", text):
        words = arguments.split()
        found["worker" if "worker" in words else "beat"] = ["celery", *words]
    return found


@contextmanager
def service(folder: Path, **settings: str) -> Iterator[Service]:
    """Run all programs for the length of the block. The test needs a database without a transaction around it."""
    port, log = free_port(0), folder / "log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STOA_TEST")}
    environment |= SETTINGS | {"DATABASE_URL": database_url(), "STOA_DATA_DIR": str(folder), "STOA_PORT": str(port)}
    environment |= settings
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    command = commands()
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as raw:
        install_queue(raw)
    try:
        with ExitStack() as stack:
            output = stack.enter_context(log.open("wb"))
            web = stack.enter_context(running(command["web"], environment, output))
            worker = stack.enter_context(running(command["worker"], environment, output))
            stack.enter_context(running(command["beat"], environment, output))
            found = Service(port, log, web, worker)
            wait_until(
                partial(is_answering, "127.0.0.1", port, "/healthz"), "the server answers", seconds=START_SECONDS
            )
            wait_until(lambda: " ready." in log.read_text(), "the worker is ready", seconds=START_SECONDS)
            yield found
    finally:
        # The tables are emptied next, with which a statement of theirs could deadlock.
        end_other_sessions()
        with psycopg.connect(**connection.get_connection_params(), autocommit=True) as raw:
            raw.execute("DROP SCHEMA pgmq CASCADE")
