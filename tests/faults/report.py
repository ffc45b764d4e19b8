"""The table of what was measured, for the terminal and for ``RESULTS.md``."""

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from tests.faults.matrix import Fault, Measured

WORDS = {True: "yes", False: "NO", None: "not run"}

HEAD = """\
| # | Fault | Injected | Expected | Measured | Held | Also in `make test` | On |
|---|---|---|---|---|---|---|---|"""

DOCUMENT = """# Faults, and what came of them

Written by `make faults`; each row says when. {machine}

Each row ran against real processes: a PostgreSQL server with durable writes, granian with two web processes,
`manage.py deliver_webhooks`, the Celery worker with its clock. Receivers and brokers are on loopback. Rows that name a
test run in `make test` as well, smaller.

{head}
{rows}
"""

Results = Sequence[tuple[Fault, Measured]]


def line(measured: Measured, *, seconds: float) -> str:
    """Return one row as it is told while others still run."""
    return f"    {WORDS[measured.held]}: {measured.sentence} ({seconds:.0f} s)"


def summary(results: Results) -> str:
    """Return the table, and what it comes to."""
    counts = {word: sum(WORDS[measured.held] == word for _fault, measured in results) for word in WORDS.values()}
    return f"{_table(results)}\n\nheld {counts['yes']}, not held {counts['NO']}, not run {counts['not run']}"


def document(results: Results, standing: Mapping[str, str]) -> str:
    """Return ``RESULTS.md``, with the rows of earlier runs that are not in this one."""
    rows = {**standing, **{fault.number: _row(fault, measured) for fault, measured in results}}
    ordered = [rows[number] for number in sorted(rows, key=place)]
    return DOCUMENT.format(machine=_machine(), head=HEAD, rows="\n".join(ordered))


def standing(text: str) -> dict[str, str]:
    """Return the rows of a ``RESULTS.md`` by their numbers."""
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    return {row.split(" | ")[0].removeprefix("| "): row for row in rows}


def place(number: str) -> tuple[int, int]:
    """Return where a row stands in the matrix."""
    return "WBDRIJHKA".index(number[0]), int(number[1:])


def _table(results: Results) -> str:
    return "\n".join([HEAD, *(_row(fault, measured) for fault, measured in results)])


def _row(fault: Fault, measured: Measured) -> str:
    smaller = f"`{fault.held_by}`" if fault.held_by else ""
    cells = [fault.number, fault.name, fault.injected, fault.expected, measured.sentence, WORDS[measured.held], smaller]
    cells.append(f"{datetime.now(UTC):%Y-%m-%d}")
    return f"| {' | '.join(cells)} |"


def _machine() -> str:
    load = os.getloadavg()[0]
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"PostgreSQL 18; load average {load:.1f} at the end."
    )
