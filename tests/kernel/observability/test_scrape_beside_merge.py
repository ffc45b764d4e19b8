"""A scrape beside a process that starts, and merges the files of ended processes: the sums stay right."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from time import monotonic

import pytest

from stoa_cp.observability.ended_processes import merge_ended_processes
from stoa_cp.observability.metrics import SharedFolder
from tests.races import at_once

COUNT = """
import sys
from stoa_cp.observability.metrics import count_request
for _time in range(int(sys.argv[1])):
    count_request("GET", "v1/me", 200, 0.003)
print("counted", flush=True)
sys.stdin.read()
"""
SHARED = 7  # what each process counts


@contextmanager
def counting(folder: Path) -> Iterator[None]:
    """Run a process that counts, as long as the block lasts."""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command, pipe = [sys.executable, "-c", COUNT, str(SHARED)], subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe) as process:
        assert process.stdout
        assert process.stdout.readline() == b"counted\n"
        yield
        process.communicate()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for _process in range(3):
        with counting(tmp_path):
            """It ends at once."""
    return tmp_path


def sums(folder: Path) -> tuple[float, float, float]:
    """Return the requests, the sum of their durations in milliseconds, and those below 5 ms."""
    found = {
        (sample.name, sample.labels.get("le", "")): sample.value
        for metric in SharedFolder(str(folder)).collect()
        for sample in metric.samples
    }
    name = "stoa_http_request_duration_seconds"
    requests = found["stoa_http_requests_total", ""]
    return requests, round(found[f"{name}_sum", ""] * 1000), found[f"{name}_bucket", "0.005"]


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.glob("*.db")}


def test_a_scrape_beside_a_merge_reads_the_right_sums(folder: Path) -> None:
    seen: list[float] = []

    def read() -> None:
        seen.extend(sums(folder)[0] for _time in range(60))

    def merge(number: int) -> Callable[[], None]:
        def run() -> None:
            for _time in range(60):
                for kind in ("counter", "histogram"):
                    # As if a process had ended again: one without requests. No process has so high a number.
                    draft = folder / f"draft-{number}"
                    draft.write_bytes((8).to_bytes(8, "little") + bytes(2**16 - 8))
                    draft.replace(folder / f"{kind}_{2**22 + number}.db")
                merge_ended_processes()

        return run

    at_once(read, read, merge(1), merge(2), connects=False)
    assert set(seen) == {3 * SHARED}


@pytest.fixture
def _merging(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("wb") as file:
        flock(file.fileno(), LOCK_EX)
        yield


@pytest.mark.deadline
@pytest.mark.usefixtures("_merging")
def test_a_process_that_is_frozen_in_a_merge_stops_neither_scrapes_nor_starts(folder: Path) -> None:
    began_at = monotonic()
    assert sums(folder)[0] == 3 * SHARED
    merge_ended_processes()
    assert len(files(folder)) == 6
    assert monotonic() - began_at < 10
