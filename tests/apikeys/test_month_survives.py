"""The month's count outlives the database's crash, and every process."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stoa_cp.devserver.postgres import PostgresServer

WRITTEN_SECONDS = 1  # PostgreSQL writes what nobody waited for after three rounds of its writer, 0.6 s
SECRET = "stoa_live_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd0WldG8"
PREPARE = """
import django; django.setup()
from django.core.management import call_command
from tests.factories import ApiKeyFactory
call_command("migrate", verbosity=0)
ApiKeyFactory(current_secret=KEY)
"""
CALL = """
import django; django.setup()
from apikeys.verification import Call, decide
print([decide(Call(KEY, cost=cost)).calls_this_month for cost in COSTS][-1])
"""


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory(prefix="stoa-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        server = PostgresServer(Path(folder) / "server", durable=True)
        server.start()
        yield server
        server.destroy()


def run(server: PostgresServer, program: str, costs: tuple[int, ...] = ()) -> str:
    """Run a program in a process of its own, as nothing of it must be remembered; return what it printed."""
    environment = os.environ | {"DATABASE_URL": server.url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    program = program.replace("KEY", repr(SECRET)).replace("COSTS", repr(costs))
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_month_outlives_a_crash_of_the_database(server: PostgresServer) -> None:
    run(server, PREPARE)
    assert run(server, CALL, (1,) * 10) == "10"
    time.sleep(WRITTEN_SECONDS)

    assert server.process
    processes = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]
    for process in processes:
        process.kill()
    server.process.wait(timeout=10)
    psutil.wait_procs(processes, timeout=10)
    server.start()

    assert run(server, CALL, (0,)) == "10"
