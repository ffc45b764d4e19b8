"""The command that starts the web server, and the folder of its processes' metrics through reloads."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

from stoa_cp.devserver import programs
from stoa_cp.devserver.cluster import free_port
from stoa_cp.devserver.grants import Grants
from tests.databases import database_url
from tests.faults import processes
from tests.security.installation import environment
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS, RELOADS, SECONDS = 2, 2, 90
COUNTED = re.compile(r'stoa_http_requests_total\{method="GET",route="healthz",status="200"\} ([0-9.]+)')


def get(port: int, path: str) -> str:
    client = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        client.request("GET", path)
        return client.getresponse().read().decode()
    finally:
        client.close()


def counted(port: int) -> float:
    found = COUNTED.search(get(port, "/metrics"))
    return float(found[1]) if found else 0.0


def test_a_reload_loses_no_count_and_leaves_no_files(realm: Grants, tmp_path: Path) -> None:
    port = free_port(0)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        surroundings = environment(database_url(), realm, folder) | {
            "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
            "STOA_METRICS_ALLOW": "127.0.0.0/8",
        }
        command = [sys.executable, "manage.py", "serve", "--port", str(port), "--workers", str(WORKERS)]
        with processes.running(command, surroundings, log) as server:
            wait_until(lambda: programs.is_answering("127.0.0.1", port, "/healthz"), seconds=SECONDS)
            for _reload in range(RELOADS):
                for _call in range(50):
                    get(port, "/healthz")
                before = counted(port)
                old = set(psutil.Process(server.pid).children())
                server.send_signal(signal.SIGHUP)
                _gone, alive = psutil.wait_procs(old, timeout=SECONDS)
                assert not alive
                wait_until(lambda: programs.is_answering("127.0.0.1", port, "/healthz"), seconds=SECONDS)
                assert counted(port) >= before >= 50
            # One for the processes that have ended, those that answer, and the last one that was replaced.
            assert len(list(tmp_path.glob("counter_*.db"))) <= 1 + WORKERS + 1


def test_counts_of_ended_processes_are_added_once(tmp_path: Path) -> None:
    code = (
        "import django; django.setup();"
        "from stoa_cp.observability.ended_processes import merge_ended_processes as merge;"
        "from stoa_cp.observability.metrics import count_request;"
        "merge(); count_request('GET', 'healthz', 200, 0.1)"
    )
    surroundings = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for _process in range(3):
        subprocess.run([sys.executable, "-c", code], cwd=processes.ROOT, env=surroundings, check=True, timeout=60)
    report = (
        "from stoa_cp.observability.metrics import process_metrics;"
        "from prometheus_client import generate_latest; print(generate_latest(process_metrics()).decode())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {report}"],
        cwd=processes.ROOT, env=surroundings, check=True, timeout=60, capture_output=True, text=True,
    )  # fmt: skip

    assert COUNTED.findall(printed.stdout) == ["3.0"]
    assert (tmp_path / "counter_0.db").exists()
    assert len(list(tmp_path.glob("counter_*.db"))) <= 3
