"""`manage.py up` as a newcomer runs it: everything starts from nothing, works together, and ends together."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psutil
import pytest

from stoa_cp.devserver.cluster import free_port
from stoa_cp.devserver.environment import read
from tests.waiting import wait_until

Processes = Callable[[], list[psutil.Process]]
TENANT = {"name": "acme", "tier": "starter", "admin_email": "admin@acme.com", "region": "us-east-1"}


@pytest.fixture
def environment(data_dir: Path) -> dict[str, str]:
    """A user's environment: nothing of the suite's own settings, free ports."""
    ours = ("STOA_", "DATABASE_URL", "DJANGO_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    ports = {"STOA_PORT": str(free_port(0)), "STOA_ISSUER_PORT": str(free_port(0))}
    return kept | ports | {"STOA_DATA_DIR": str(data_dir)}


@pytest.fixture
def up(environment: dict[str, str]) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start it and come back when the banner says that it is ready."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = _spawn(environment)
        started.append(process)
        _read_until(process, "Control Plane is ready")
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.communicate()


def test_from_nothing_to_an_active_tenant_and_back_to_nothing(
    data_dir: Path,
    environment: dict[str, str],
    up: Callable[[], subprocess.Popen[str]],
    processes_of: Processes,
) -> None:
    process = up()
    kept = read(data_dir / "env")
    assert (data_dir / "env").stat().st_mode & 0o077 == 0

    created = _call(kept, "/v1/tenants", TENANT)
    assert created["status"] == "provisioning"
    _await_active(kept, created["id"])
    # The worker knows which call it works for: the audit trail and the log lines of a task say so.
    requests = {event["type"]: event["request_id"] for event in _call(kept, "/v1/tenants/acme/events")["items"]}
    assert requests["tenant.activated"] == requests["tenant.created"] != ""

    second = _spawn(environment)
    assert "Another `up` runs on" in second.communicate(timeout=30)[0]
    assert second.returncode == 1

    process.send_signal(signal.SIGTERM)
    output, _nothing = process.communicate(timeout=30)
    assert output.endswith("Stopped.\n")
    assert process.returncode == 0
    assert processes_of() == []


def test_what_kill_9_leaves_does_not_keep_the_next_start_from_working(
    data_dir: Path, up: Callable[[], subprocess.Popen[str]], processes_of: Processes
) -> None:
    killed = up()
    before = read(data_dir / "env")
    _call(before, "/v1/tenants", TENANT)
    orphans = {process.pid for process in processes_of()}
    killed.kill()
    killed.communicate()

    up()
    after = read(data_dir / "env")
    assert after == before
    assert [tenant["name"] for tenant in _call(after, "/v1/tenants")["items"]] == ["acme"]

    wait_until(lambda: not orphans & {process.pid for process in processes_of()}, "the orphans end")


def _spawn(environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "manage.py", "up"]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def _read_until(process: subprocess.Popen[str], text: str) -> None:
    """Read its output up to the line with ``text``; it gives up by itself if it does not get ready."""
    lines = []
    for line in process.stdout or []:
        lines.append(line)
        if text in line:
            return
    pytest.fail("".join(lines))


def _call(kept: dict[str, str], path: str, body: dict[str, Any] | None = None) -> Any:
    """GET, or POST ``body``, with a fresh token from the issuer of this run."""
    grant = {
        "grant_type": "client_credentials",
        "client_id": "control-plane-api",
        "client_secret": kept["STOA_DEV_CLIENT_SECRET"],
    }
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = _exchange(f"{kept['STOA_OIDC_ISSUER']}/protocol/openid-connect/token", urlencode(grant), form)
    headers = {"Authorization": f"Bearer {answer['access_token']}", "Content-Type": "application/json"}
    return _exchange(f"{kept['STOA_URL']}{path}", json.dumps(body) if body else None, headers)


def _exchange(url: str, body: str | None, headers: dict[str, str]) -> Any:
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=10)
    try:
        connection.request("POST" if body else "GET", address.path, body, headers)
        return json.load(connection.getresponse())
    finally:
        connection.close()


def _await_active(kept: dict[str, str], tenant_id: str) -> None:
    """Read the tenant until the worker has set it up."""
    for _attempt in range(500):
        if _call(kept, f"/v1/tenants/{tenant_id}")["status"] == "active":
            return
    pytest.fail("The worker did not set the tenant up.")
