"""The table that a run leaves behind."""

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from django.db import connection

RESULTS = Path(__file__).parent / "RESULTS.md"
PACKAGES = ("django", "djangorestframework", "psycopg", "granian")


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison; ``ratio`` is how many times better ours is, ``goal`` the least it must be, None if it is open."""

    name: str
    ours: str
    baseline: str
    ratio: float
    goal: float | None = None

    def __str__(self) -> str:
        measured = f"| {self.name} | {self.ours} | {self.baseline} | {self.ratio:.1f} × |"
        if self.goal is None:
            return f"{measured} – | – |"
        return f"{measured} ≥ {self.goal:g} × | {'yes' if self.ratio >= self.goal else '**no**'} |"


def write_results(rows: Iterable[Row]) -> None:
    """Write the table, and print it."""
    table = [str(row) for row in rows]
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    lines = [
        "# Measured",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores.",
        f"Python {platform.python_version()}, PostgreSQL {postgres_version()}, {versions}.",
        "Server, database and callers share the cores: trust the ratios. Each row: medians of interleaved rounds.",
        "",
        "| row | ours | baseline | ratio | goal | held |",
        "| --- | --- | --- | --- | --- | --- |",
        *table,
        "",
    ]
    RESULTS.write_text("\n".join(lines))
    print("\n".join(lines))  # noqa: T201 - this is a command


def postgres_version() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        return str(cursor.fetchone()[0])
