"""Runs a PostgreSQL server from the programs of a Python package: for `make run`, and for the tests."""

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

START_SECONDS = 30.0  # includes the recovery after a kill
POLL_SECONDS = 0.02  # a server with an empty cluster is ready in a fraction of a second

COMMON_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # needs a folder that both accounts can enter; TCP on loopback needs none
    "max_connections": "300",  # the suite's processes and threads each keep one; PostgreSQL's default is 100
    "shared_buffers": "128MB",
    "jit": "off",  # to compile a query takes longer than to run ours
    "timezone": "UTC",
    "log_min_messages": "warning",
}
# For a cluster that is deleted afterwards: no write waits for the disk, and nothing could be recovered.
SCRATCH_OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


class PostgresServer:
    """One server on 127.0.0.1, with a password, and its cluster in ``data_dir``.

    With ``durable=False`` it does not wait for the disk: a power cut destroys the cluster.
    """

    def __init__(self, data_dir: Path, *, durable: bool) -> None:
        self.durable = durable
        self.cluster = Cluster(data_dir)
        self.process: subprocess.Popen[bytes] | None = None
        self._data_dir = data_dir
        self._port = 0

    @property
    def url(self) -> str:
        """The value of ``DATABASE_URL`` for a started server, with its password."""
        return f"postgres://{USER}:{self.cluster.password}@127.0.0.1:{self._port}/postgres"

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server; creates the cluster if there is none, and stops a server that an earlier run left.

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
        self._wait_for_connection(self.process)
        return self.process

    def stop(self) -> None:
        if self.process:
            end(self.process, STOP_SIGNAL, grace_seconds=STOP_SECONDS)
            self.process = None

    def destroy(self) -> None:
        """Stop the server and delete its cluster."""
        self.stop()
        remove(self._data_dir)

    def _wait_for_connection(self, process: subprocess.Popen[bytes]) -> None:
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
    """Run a server with an empty cluster for the length of the block. Its folder is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="stoa-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # the server's account must pass through it, but need not list it
        server = PostgresServer(Path(folder) / "server", durable=False)
        try:
            server.start()
            yield server
        finally:
            server.destroy()
