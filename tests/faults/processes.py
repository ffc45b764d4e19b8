"""The product's own processes, as an operator starts them, and how they are made to die."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from stoa_cp.devserver import programs
from tests.faults.waiting import wait_until
from tests.identity.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 20

Environment = Mapping[str, str]
Process = subprocess.Popen[bytes]


@contextmanager
def running(command: Sequence[str], environment: Environment, log: IO[bytes]) -> Iterator[Process]:
    """Run a program for the length of the block; whatever it started ends with it."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def delivering(threads: int) -> list[str]:
    """Return the command of a worker that needs no broker."""
    return [sys.executable, "manage.py", "deliver_webhooks", "--threads", str(threads)]


def failing(point: str, program: Sequence[str]) -> list[str]:
    """Return the command of a Python program that kills itself when it comes to ``point``."""
    return [sys.executable, "-m", "tests.faults.failing", point, *program]


@contextmanager
def celery(environment: Environment, log: IO[bytes]) -> Iterator[Process]:
    """Run the Celery worker of `make run`, with its clock."""
    (Path(environment["STOA_DATA_DIR"]) / "beat-schedule").unlink(missing_ok=True)
    with running(programs.worker(dict(environment)).command, environment, log) as process:
        yield process


@contextmanager
def web(environment: Environment, log: IO[bytes], application: str = "stoa_cp.wsgi:application") -> Iterator[int]:
    """Run the web server of `make run` on a free port, which is returned once it answers."""
    port = free_port()
    chosen = dict(environment) | {"STOA_PORT": str(port), "STOA_HOST": "127.0.0.1"}
    command = [application if part == "stoa_cp.wsgi:application" else part for part in programs.web(chosen).command]
    with running(command, chosen, log):
        wait_until(lambda: programs.answers("127.0.0.1", port, "/healthz"), "the web server answers", seconds=40)
        yield port
