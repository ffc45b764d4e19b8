"""The embedded server: reachable with its password alone, replaced after a kill, gone after a stop."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import psutil
import psycopg
import pytest

from stoa_cp.devserver import placement
from stoa_cp.devserver.cluster import PostgresDidNotStart
from stoa_cp.devserver.postgres import PostgresServer, scratch_server
from stoa_cp.devserver.processes import Program, spawn
from tests.waiting import wait_until

Processes = Callable[[], list[psutil.Process]]

# Starts a server in the folder argv[1] and dies at once, as a supervisor does under kill -9.
DYING_SUPERVISOR = """
import os, signal, sys
from pathlib import Path
from stoa_cp.devserver import processes
from stoa_cp.devserver.postgres import PostgresServer
if sys.argv[2] == "untied":
    processes.LIBC = None
PostgresServer(Path(sys.argv[1]), durable=False).start()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_scratch_server_opens_to_its_password_alone_and_leaves_nothing() -> None:
    with scratch_server() as server:
        with psycopg.connect(server.url) as connection:
            assert connection.info.server_version >= 180000
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            psycopg.connect(server.url.replace(server.cluster.password, "guess"))
        folder = server.cluster.placement.folder
        assert folder.stat().st_mode & 0o077 == 0
        assert (folder / "password").stat().st_mode & 0o077 == 0
        process = psutil.Process(server.process.pid if server.process else 0)
    assert not process.is_running()
    assert not folder.exists()


def test_rows_and_address_survive_a_restart(data_dir: Path) -> None:
    server = PostgresServer(data_dir / "server", durable=True)
    server.start()
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    first_url = server.url
    server.stop()

    again = PostgresServer(data_dir / "server", durable=True)
    again.start()
    try:
        assert again.url == first_url
        with psycopg.connect(again.url) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    finally:
        again.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_server_ends_with_its_supervisor(data_dir: Path, processes_of: Processes) -> None:
    _start_and_die(data_dir, "tied")
    _gone, alive = psutil.wait_procs(processes_of(), timeout=10)
    assert alive == []


def test_a_server_that_outlived_its_supervisor_is_replaced(data_dir: Path, processes_of: Processes) -> None:
    _start_and_die(data_dir, "untied")
    assert processes_of()
    server = PostgresServer(data_dir / "server", durable=False)
    server.start()
    try:
        psycopg.connect(server.url).close()
    finally:
        server.stop()


def test_a_lock_with_a_strangers_process_number_is_forgotten(data_dir: Path) -> None:
    server = PostgresServer(data_dir / "server", durable=False)
    server.start()
    server.stop()
    (server.cluster.data / "postmaster.pid").write_text(f"{os.getppid()}\n{server.cluster.data}\n")
    server.start()
    server.stop()
    assert psutil.pid_exists(os.getppid())


def test_a_first_start_that_was_killed_is_repeated(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spawn_and_kill(program: Program, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
        process = spawn(program, output)
        wait_until(lambda: any(data_dir.rglob("PG_VERSION")), "initdb has begun")
        os.killpg(process.pid, signal.SIGKILL)
        return process

    with monkeypatch.context() as patch:
        patch.setattr("stoa_cp.devserver.cluster.spawn", spawn_and_kill)
        with pytest.raises(PostgresDidNotStart):
            PostgresServer(data_dir / "server", durable=False).start()

    server = PostgresServer(data_dir / "server", durable=False)
    server.start()
    server.stop()


def test_a_broken_cluster_says_why(data_dir: Path) -> None:
    server = PostgresServer(data_dir / "server", durable=False)
    server.start()
    server.stop()
    (server.cluster.data / "global" / "pg_control").unlink()
    with pytest.raises(PostgresDidNotStart, match="pg_control"):
        server.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that PostgreSQL's account cannot enter")
def test_root_in_a_closed_folder_runs_its_server_elsewhere(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "OPEN_FOLDER", data_dir / "open")
    with tempfile.TemporaryDirectory() as closed:
        server = PostgresServer(Path(closed) / "server", durable=False)
        server.start()
        try:
            assert server.cluster.placement.folder.is_relative_to(data_dir / "open")
            assert (Path(closed) / "server").readlink() == server.cluster.placement.folder
            assert Path(closed).stat().st_mode & 0o077 == 0
        finally:
            server.destroy()
        assert not server.cluster.placement.folder.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has folders that PostgreSQL's account cannot enter")
def test_a_closed_installation_is_copied_once(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "OPEN_FOLDER", data_dir / "open")
    original = placement.can_reach
    monkeypatch.setattr(
        placement, "can_reach", lambda account, path: path.name != "postgres" and original(account, path)
    )
    for _run in range(2):
        with scratch_server() as server:
            assert server.cluster.placement.installation.is_relative_to(data_dir / "open")
            psycopg.connect(server.url).close()
    assert len(list((data_dir / "open").iterdir())) == 1


def _start_and_die(data_dir: Path, tie: str) -> None:
    died = subprocess.run([sys.executable, "-c", DYING_SUPERVISOR, str(data_dir / "server"), tie], check=False)
    assert died.returncode == -signal.SIGKILL
