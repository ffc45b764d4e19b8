"""One run of the development server, from the lock on its data folder to the last program's end."""

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from stoa_cp.devserver import environment as environments
from stoa_cp.devserver import programs
from stoa_cp.devserver.banner import banner
from stoa_cp.devserver.cluster import STOP_SIGNAL, free_port
from stoa_cp.devserver.environment import Environment
from stoa_cp.devserver.postgres import PostgresServer
from stoa_cp.devserver.supervisor import Supervisor

READY_SECONDS = 60.0
# What a killed supervisor left ends by itself; so long its ports may still be taken.
LEFTOVER_SECONDS = 5.0


class CannotStart(Exception):
    """The data folder or a port is in use; the message says which."""


def run(data_dir: Path, write_line: Callable[[str], object]) -> None:
    """Start everything, write the banner, and stay until told to stop.

    Raises CannotStart, PostgresDidNotStart, ProgramEnded or StopRequested.
    """
    started_at = time.monotonic()
    with _only_run(data_dir), Supervisor(write_line) as supervisor:
        kept = environments.read(data_dir / "env")
        chosen = environments.chosen_by_user(kept)
        decided = environments.decide(chosen, kept)
        environment = chosen | decided | {"STOA_DATA_DIR": str(data_dir)}
        own_issuer = "STOA_OIDC_ISSUER" in decided
        _refuse_taken_ports(environment, own_issuer=own_issuer)
        if "DATABASE_URL" not in chosen:
            decided["DATABASE_URL"] = environment["DATABASE_URL"] = _start_database(data_dir, supervisor)
        environments.write(data_dir / "env", decided)
        _start_programs(supervisor, environment, own_issuer=own_issuer)
        write_line(banner(environment, own_issuer=own_issuer, ready_seconds=time.monotonic() - started_at))
        supervisor.run_until_stopped()


@contextmanager
def _only_run(data_dir: Path) -> Iterator[None]:
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotStart(f"Another `up` runs on {data_dir}: stop it, or set STOA_DATA_DIR.") from error
        yield


def _refuse_taken_ports(environment: Environment, *, own_issuer: bool) -> None:
    wanted = {"STOA_PORT": int(environment["STOA_PORT"])}
    if own_issuer:
        wanted["STOA_ISSUER_PORT"] = urlsplit(environment["STOA_OIDC_ISSUER"]).port or 80
    deadline = time.monotonic() + LEFTOVER_SECONDS
    for variable, port in wanted.items():
        while not free_port(port):
            if time.monotonic() > deadline:
                raise CannotStart(f"Port {port} is taken by another program: set {variable} to a free one.")
            time.sleep(0.1)


def _start_database(data_dir: Path, supervisor: Supervisor) -> str:
    server = PostgresServer(data_dir / "postgres", durable=True)
    supervisor.adopt("postgres", server.start(), STOP_SIGNAL)
    return server.url


def _start_programs(supervisor: Supervisor, environment: Environment, *, own_issuer: bool) -> None:
    if own_issuer:
        supervisor.start(programs.issuer(environment))
    numbers = {"PROMETHEUS_MULTIPROC_DIR": _emptied(Path(environment["STOA_DATA_DIR"]) / "prometheus")}
    supervisor.start(programs.web(environment | numbers))
    supervisor.run(programs.preparation(environment))
    supervisor.start(programs.worker(environment))
    port = int(environment["STOA_PORT"])
    host = urlsplit(environment["STOA_URL"]).hostname or "127.0.0.1"
    supervisor.wait_until_ready(lambda: programs.answers(host, port, "/healthz"), seconds=READY_SECONDS)


def _emptied(folder: Path) -> str:
    """Make a folder for what the web processes count together; numbers begin anew with them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return str(folder)
