"""One run of the development server: from the lock on its data folder to the end of the last program."""

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

# For all programs together. A first start, with initdb and all migrations, is the slowest.
READY_SECONDS = 60.0
# The programs of a supervisor that was killed end by themselves, but may keep their ports for a moment.
LEFTOVER_SECONDS = 5.0


class CannotStart(Exception):
    """The data folder or a port is in use; the message says which."""


def run(data_dir: Path, write_line: Callable[[str], object]) -> None:
    """Start everything, write the banner, and run until a signal or until one of the programs ends.

    1. Lock the data folder: two servers on one cluster would destroy it.
    2. Choose the environment: the user's variables first.
    3. Start PostgreSQL, unless the user has a DATABASE_URL.
    4. Write the environment to a file, for commands in a second terminal.
    5. Start the other programs, and wait until all are ready.

    Raises CannotStart, PostgresDidNotStart, ProgramEnded or StopRequested.
    """
    started_at = time.monotonic()
    with _only_run(data_dir), Supervisor(write_line) as supervisor:
        kept = environments.read(data_dir / "env")
        chosen = environments.chosen_by_user(kept)
        defaults = environments.defaults_for(chosen, kept)
        environment = chosen | defaults | {"STOA_DATA_DIR": str(data_dir)}
        own_issuer = "STOA_OIDC_ISSUER" in defaults
        check_ports(environment, own_issuer=own_issuer)
        if "DATABASE_URL" not in chosen:
            defaults["DATABASE_URL"] = environment["DATABASE_URL"] = _start_database(data_dir, supervisor)
        environments.write(data_dir / "env", defaults)
        _start_programs(supervisor, environment, own_issuer=own_issuer)
        write_line(banner(environment, own_issuer=own_issuer, ready_seconds=time.monotonic() - started_at))
        supervisor.run_until_stopped()


@contextmanager
def _only_run(data_dir: Path) -> Iterator[None]:
    data_dir.mkdir(parents=True, exist_ok=True)
    # flock() and not a file with a process number: the kernel releases it when the process dies, however it dies.
    with (data_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotStart(f"Another `up` runs on {data_dir}: stop it, or set STOA_DATA_DIR.") from error
        yield


def check_ports(environment: Environment, *, own_issuer: bool) -> None:
    """Wait until the ports of our servers are free. Raises CannotStart if one is still taken after 5 s."""
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
    metrics = {"PROMETHEUS_MULTIPROC_DIR": _new_folder(Path(environment["STOA_DATA_DIR"]) / "prometheus")}
    # Before the migrations: both take their time, and the web server needs no table to start.
    supervisor.start(programs.web(environment | metrics))
    supervisor.run(programs.preparation(environment))
    supervisor.start(programs.worker(environment))
    port = int(environment["STOA_PORT"])
    host = urlsplit(environment["STOA_URL"]).hostname or "127.0.0.1"
    supervisor.wait_until_ready(lambda: programs.is_answering(host, port, "/healthz"), seconds=READY_SECONDS)


def _new_folder(folder: Path) -> str:
    """Return an empty folder for the metrics of the web processes: files of an earlier run would be counted as well."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return str(folder)
