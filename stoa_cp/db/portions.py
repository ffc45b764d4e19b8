"""Reads many rows in portions, each one short statement that an index answers, with one portion in memory at a time."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from django.db.models import F, Func, QuerySet, TextField, Value
from django.db.models.lookups import GreaterThan

# Some milliseconds a statement, and some hundred kilobytes of rows: more would save next to no time.
PORTION = 1_000

Item = TypeVar("Item")


class Row(Func):
    """A row value of SQL. Comparing two is one condition of an index, where the same in AND and OR is a filter."""

    function = "ROW"
    output_field = TextField()  # Django wants one; a row value is only compared


def read_in_portions(
    rows: QuerySet[Any, dict[str, Any]], *key: str, size: int | None = None
) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of a ``values()`` query, ``size`` at a time, in the ascending order of ``key``.

    The key is unique, is among the values, and an index begins with it. Each portion begins after the last one, so this
    works behind a pooler in transaction mode too: no cursor outlives a statement (``QuerySet.iterator`` needs one that
    does). There is no common snapshot. A row that exists all the time is read once; another one may be missed.
    """
    size = size or PORTION
    rows = rows.order_by(*key)
    page = rows
    while portion := list(page[:size]):
        yield portion
        if len(portion) < size:
            return
        last = Row(*(Value(portion[-1][name]) for name in key))
        page = rows.filter(GreaterThan(Row(*map(F, key)), last))


def batched(items: Iterable[Item], size: int = PORTION) -> Iterator[list[Item]]:
    """Yield the items in lists of ``size``; the last one may be shorter. As ``itertools.batched`` of Python 3.12."""
    remaining = iter(items)
    while portion := list(islice(remaining, size)):
        yield portion
