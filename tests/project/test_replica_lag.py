"""The lag of a real streaming replica: none while it follows, some while it does not replay or is cut off."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from stoa_cp.collectors import REPLICA_LAG
from stoa_cp.devserver.cluster import STOP_SECONDS, STOP_SIGNAL, free_port
from stoa_cp.devserver.postgres import COMMON_OPTIONS, PostgresServer
from stoa_cp.devserver.processes import end, spawn
from tests.waiting import wait_until

WRITE = "SELECT pg_logical_emit_message(true, 'test', 'something')"


@pytest.fixture
def primary() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory(prefix="stoa-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # the server's account must pass through it
        server = PostgresServer(Path(folder) / "server", durable=True)
        try:
            server.start()
            yield server
        finally:
            server.destroy()


@contextmanager
def replica_of(primary: PostgresServer) -> Iterator[str]:
    """Copy the primary, and follow it for the length of the block; yield the replica's URL."""
    cluster, port = primary.cluster, free_port(0)
    data = cluster.placement.folder / "replica"
    with (cluster.placement.folder / "replica-log").open("wb") as log:
        options = ["-D", str(data), "--write-recovery-conf", "--checkpoint=fast", "-d", primary.url]
        assert spawn(cluster.program("pg_basebackup", *options), log).wait() == 0
        # A replica refuses to start with fewer connections than its primary has.
        named = COMMON_OPTIONS | {"port": str(port), "wal_receiver_timeout": "2s"}
        options = [f"{name}={value}" for name, value in named.items()]
        arguments = [word for option in options for word in ("-c", option)]
        process = spawn(cluster.program("postgres", "-D", str(data), *arguments), log)
        url = urlsplit(primary.url)
        try:
            yield url._replace(netloc=url.netloc.replace(f":{url.port}", f":{port}")).geturl()
        finally:
            end(process, STOP_SIGNAL, grace_seconds=STOP_SECONDS)


def lag(replica: str) -> float | None:
    """Return what the collector reads; None while the replica starts."""
    try:
        with psycopg.connect(replica) as session:
            row = session.execute(REPLICA_LAG).fetchone()
    except psycopg.OperationalError:
        return None
    return row and row[0]


def run(url: str, statement: Any) -> None:
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(statement)


def test_the_lag_of_a_real_replica(primary: PostgresServer) -> None:
    with replica_of(primary) as replica:
        run(primary.url, WRITE)
        wait_until(lambda: lag(replica) == 0, "the replica follows")
        # Also long after the last commit: an idle primary is no lag.
        run(replica, "SELECT pg_sleep(1)")
        assert lag(replica) == 0

        run(replica, "SELECT pg_wal_replay_pause()")
        run(primary.url, WRITE)
        wait_until(lambda: (lag(replica) or 0) > 1, "the replica does not replay")
        run(replica, "SELECT pg_wal_replay_resume()")
        wait_until(lambda: lag(replica) == 0, "the replica has caught up")

        primary.stop()
        wait_until(lambda: (lag(replica) or 0) > 1, "the replica is cut off", seconds=60)
