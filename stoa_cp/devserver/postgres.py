"""Runs a PostgreSQL server of our own, from the binaries of a Python package."""

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from stoa_cp.devserver.cluster import STOP_SECONDS, STOP_SIGNAL, USER, Cluster, PostgresDidNotStart
from stoa_cp.devserver.placement import remove
from stoa_cp.devserver.processes import end, spawn

START_SECONDS = 30.0
POLL_SECONDS = 0.02

COMMON_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "128MB",
    "jit": "off",  # compiling a query takes longer than our queries
    "timezone": "UTC",
    "log_min_messages": "warning",
}
# For a cluster that is thrown away: nothing waits for the disk.
SCRATCH_OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


class PostgresServer:
    """One server on 127.0.0.1, with a password, whose cluster lies in ``data_dir``.

    With ``durable=False`` it survives no power cut, and is several times faster.
    """

    def __init__(self, data_dir: Path, *, durable: bool) -> None:
        self.durable = durable
        self.cluster = Cluster(data_dir)
        self.process: subprocess.Popen[bytes] | None = None
        self._data_dir = data_dir
        self._port = 0

    @property
    def url(self) -> str:
        """The address of a started server, with its password, for ``DATABASE_URL``."""
        return f"postgres://{USER}:{self.cluster.password}@127.0.0.1:{self._port}/postgres"

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server, in place of one that an earlier run may have left; makes the cluster if there is none.

        Raises PostgresDidNotStart.
        """
        self.cluster.end_leftover()
        self.cluster.initialise(durable=self.durable)
        self._port = self.cluster.choose_port()
        options = COMMON_OPTIONS | ({} if self.durable else SCRATCH_OPTIONS) | {"port": str(self._port)}
        arguments = [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
        program = self.cluster.program("postgres", "-D", str(self.cluster.data), *arguments)
        with self.cluster.log.open("wb") as log:
            self.process = spawn(program, log)
        self._await_connection(self.process)
        return self.process

    def stop(self) -> None:
        if self.process:
            end(self.process, STOP_SIGNAL, grace_seconds=STOP_SECONDS)
            self.process = None

    def destroy(self) -> None:
        """Stop the server and delete everything that it wrote."""
        self.stop()
        remove(self._data_dir)

    def _await_connection(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(POLL_SECONDS)
            else:
                return
        self.stop()
        raise PostgresDidNotStart(self.cluster.end_of_log)


@contextlib.contextmanager
def scratch_server() -> Iterator[PostgresServer]:
    """Run a server in a new folder for the length of the block: fast, empty, and gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="stoa-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # ours, and the server's account must pass through it
        server = PostgresServer(Path(folder) / "server", durable=False)
        try:
            server.start()
            yield server
        finally:
            server.destroy()
