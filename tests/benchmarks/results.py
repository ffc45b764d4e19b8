"""The table that a run leaves behind."""

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.databases import ask

RESULTS = Path(__file__).parent / "RESULTS.md"
PACKAGES = ("django", "djangorestframework", "psycopg", "granian", "celery")
ROUNDS = int(os.environ.get("STOA_BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("STOA_BENCH_SECONDS", "3"))


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison; ``ratio`` is how many times better ours is, ``goal`` the least it must be, None if it is open."""

    name: str
    ours: str
    baseline: str
    ratio: float
    goal: float | None = None

    def __str__(self) -> str:
        measured = f"| {self.name} | {self.ours} | {self.baseline} | {_times(self.ratio)} |"
        if self.goal is None:
            return f"{measured} – | – |"
        return f"{measured} ≥ {self.goal:.3g} × | {'yes' if self.ratio >= self.goal else '**no**'} |"


def _times(ratio: float) -> str:
    return f"{ratio:,.{0 if ratio >= 100 else 1 if ratio >= 2 else 2}f} ×"


def write_results(rows: Iterable[Row]) -> None:
    """Write the rows in place of those of the same names, and print the table."""
    today = f"{datetime.now(UTC):%Y-%m-%d}, fsync {ask('SHOW fsync')[0][0]}"
    table = _standing() | {row.name: f"{row} {today} |" for row in rows}
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    lines = [
        "# Measured",
        "",
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores.",
        f"Python {platform.python_version()}, PostgreSQL {ask('SHOW server_version')[0][0]}, {versions}.",
        "Server, database and callers share the cores: trust the ratios. Each row: medians of interleaved rounds.",
        "",
        "| row | ours | baseline | ratio | goal | held | measured |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *table.values(),
        "",
    ]
    RESULTS.write_text("\n".join(lines))
    print("\n".join(lines))  # noqa: T201 - this is a command


def _standing() -> dict[str, str]:
    """Return the rows of earlier runs by their names."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    rows = [line for line in lines if line.startswith("| ")][2:]
    return {row.split(" | ")[0].removeprefix("| "): row for row in rows}
