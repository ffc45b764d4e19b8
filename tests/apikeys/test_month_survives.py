"""The month's count outlives the database's crash, and every process."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
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
from apikeys.decisions.call import Call
from apikeys.decisions.decide import decide
print([decide(Call(KEY, cost=cost)).calls_this_month for cost in COSTS][-1])
"""

# The database is killed with the last of many calls that pass by cached decisions.
CALL_AND_CRASH = """
import django; django.setup()
import os, signal
from contextlib import suppress
from apikeys.decisions.call import Call
from apikeys.decisions.decide import decide
from stoa_cp.caching import cache
cache.lease.ends_at = float("inf")
print(sum(decide(Call(KEY)).is_allowed for call in range(30)))
for pid in PIDS:
    with suppress(ProcessLookupError):  # the others notice the first one's death, and go
        os.kill(pid, signal.SIGKILL)
"""


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory(prefix="stoa-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        server = PostgresServer(Path(folder) / "server", durable=True)
        server.start()
        yield server
        server.destroy()


def run(server: PostgresServer, program: str, **named: object) -> str:
    """Run a program in a process of its own, so that nothing of it is cached; return what it printed."""
    environment = os.environ | {"DATABASE_URL": server.url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    for name, value in {"KEY": SECRET, **named}.items():
        program = program.replace(name, repr(value))
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_month_outlives_a_crash_of_the_database(server: PostgresServer) -> None:
    run(server, PREPARE)
    assert run(server, CALL, COSTS=(1,) * 10) == "10"
    time.sleep(WRITTEN_SECONDS)

    processes = processes_of(server)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    start_again(server, processes)

    assert run(server, CALL, COSTS=(0,)) == "10"


def test_tokens_are_on_the_disk_before_they_are_used(server: PostgresServer) -> None:
    run(server, PREPARE)
    run(server, CALL, COSTS=(1,))
    processes = processes_of(server)
    assert run(server, CALL_AND_CRASH, PIDS=[process.pid for process in processes]) == "30"
    start_again(server, processes)

    assert int(run(server, CALL, COSTS=(0,))) >= 31


def processes_of(server: PostgresServer) -> list[psutil.Process]:
    assert server.process
    postmaster = psutil.Process(server.process.pid)
    return [postmaster, *postmaster.children(recursive=True)]


def start_again(server: PostgresServer, processes: list[psutil.Process]) -> None:
    """Start a server whose processes are being killed."""
    assert server.process
    server.process.wait(timeout=10)
    psutil.wait_procs(processes, timeout=10)
    server.start()
