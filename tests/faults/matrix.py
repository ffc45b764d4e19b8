"""The matrix: one function for each fault, and what was measured when it was injected."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.world import World


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of a fault. ``held`` is None where it could not be injected on this machine."""

    sentence: str
    held: bool | None


@dataclass(frozen=True, slots=True)
class Fault:
    """A row: what goes wrong, how that is brought about, and what is promised all the same."""

    number: str
    name: str
    injected: str
    expected: str
    held_by: str = ""  # the smaller version in `make test`
    needs_namespace: bool = False  # to have the whole Internet to itself


Row = Callable[["World"], Measured]

ROWS: dict[str, tuple[Fault, Row]] = {}


def injects(fault: Fault) -> Callable[[Row], Row]:
    """Register the function that injects ``fault``."""

    def register(row: Row) -> Row:
        ROWS[fault.number] = (fault, row)
        return row

    return register
