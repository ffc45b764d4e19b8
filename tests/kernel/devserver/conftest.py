"""Folders that another account may pass through, and processes found again by their data folder."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A new folder. Not pytest's own: those are closed to the account that PostgreSQL runs under when we are root."""
    with tempfile.TemporaryDirectory(prefix="stoa-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture
def processes_of(data_dir: Path) -> Callable[[], list[psutil.Process]]:
    """What still runs for the folder of this test."""

    def find() -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if _belongs_to(process, str(data_dir))]

    return find


def _belongs_to(process: psutil.Process, folder: str) -> bool:
    try:
        named = [*process.cmdline(), process.environ().get("STOA_DATA_DIR", "")]
    except psutil.Error:
        return False
    return any(folder in part for part in named)
