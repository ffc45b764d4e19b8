"""The product's own processes, as an operator starts them, and how they are made to die."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import IO

import psutil

from stoa_cp.devserver import programs
from stoa_cp.devserver.cluster import free_port
from stoa_cp.devserver.processes import Program
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 20
CELERY = [sys.executable, "-W", "ignore:You're running the worker", "-m", "celery", "--app", "stoa_cp"]

Environment = Mapping[str, str]
Process = subprocess.Popen[bytes]


def run_program(program: Program) -> None:
    """Run a program of PostgreSQL under its account until it ends. A server that it starts goes on."""
    account = program.account
    subprocess.run(
        program.command,
        cwd="/",  # the account may not be allowed to enter our folder
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
        stdout=subprocess.DEVNULL,
        check=True,
    )


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
    with running(programs.worker(dict(environment)).command, environment, log) as process:
        yield process


@contextmanager
def worker(environment: Environment, log: IO[bytes], concurrency: int = 8) -> Iterator[Process]:
    """Run the guide's worker, without a clock."""
    options = ["--pool", "threads", "--concurrency", str(concurrency)]
    with running([*CELERY, "worker", *options], environment, log) as process:
        yield process


@contextmanager
def beat(environment: Environment, log: IO[bytes]) -> Iterator[Process]:
    """Run the guide's clock."""
    with running([*CELERY, "beat"], environment, log) as process:
        yield process


@dataclass(frozen=True, slots=True)
class Server:
    """A web server on loopback: its port, and its main process, which answers nobody itself."""

    port: int
    process: Process

    def workers(self) -> list[psutil.Process]:
        """Return the processes that answer."""
        return psutil.Process(self.process.pid).children()


@contextmanager
def web(environment: Environment, log: IO[bytes], application: str = "stoa_cp.wsgi:application") -> Iterator[Server]:
    """Run the web server of `make run` on a free port, from when it answers on."""
    port = free_port(0)
    chosen = dict(environment) | {"STOA_PORT": str(port), "STOA_HOST": "127.0.0.1"}
    command = [application if part == "stoa_cp.wsgi:application" else part for part in programs.web(chosen).command]
    with running(command, chosen, log) as process:
        wait_until(lambda: programs.is_answering("127.0.0.1", port, "/healthz"), "the web server answers", seconds=40)
        yield Server(port, process)


@contextmanager
def watching(watched: Sequence[psutil.Process]) -> Iterator[list[int]]:
    """Note the memory of processes, in bytes for all together, all the time that the block lasts."""
    sizes, is_over = [], Event()

    def watch() -> None:
        while not is_over.wait(0.01):
            sizes.append(sum(process.memory_info().rss for process in watched))

    thread = Thread(target=watch)
    thread.start()
    try:
        yield sizes
    finally:
        is_over.set()
        thread.join()
