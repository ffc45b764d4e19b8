"""Reads counts and percentiles from encoded sketches, several at once, without adding them up first."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from metrics.sketches import CLASS_STRIDE, FIRST_ERROR_CLASS, VALUE_MS, decode

BUCKETS = range(len(VALUE_MS))


class Histogram(NamedTuple):
    """Requests of one status class: its cells, ascending, and how many requests are in the first n of them."""

    first_cell: int
    cells: tuple[int, ...]
    reached: list[int]


class Reading:
    """Any number of sketches, read as their sum."""

    __slots__ = ("histograms",)

    def __init__(self, *encoded: bytes | memoryview) -> None:
        self.histograms = [histogram for sketch in encoded for histogram in _split(sketch)]

    def include(self, other: "Reading") -> None:
        """Read the other's sketches too."""
        self.histograms += other.histograms

    @property
    def requests(self) -> int:
        return sum(histogram.reached[-1] for histogram in self.histograms)

    @property
    def errors(self) -> int:
        """How many requests the upstream failed to answer: statuses from 500."""
        failed = FIRST_ERROR_CLASS * CLASS_STRIDE
        return sum(histogram.reached[-1] for histogram in self.histograms if histogram.first_cell >= failed)

    def by_status_class(self) -> dict[str, "Reading"]:
        """Return one reading for each status class that occurs, by its name: ``2xx``."""
        classes: dict[str, Reading] = {}
        for histogram in self.histograms:
            name = f"{histogram.first_cell // CLASS_STRIDE}xx"
            classes.setdefault(name, Reading()).histograms.append(histogram)
        return classes

    def percentiles(self, *ranks: int) -> list[int | None]:
        """Return the nearest-rank percentiles in whole milliseconds, each within 1 %; None without requests."""
        total = self.requests
        if not total:
            return [None for _ in ranks]
        # The nearest rank is ⌈rank × total / 100⌉, here in integers; its bucket is the first that reaches it.
        return [VALUE_MS[bisect_left(BUCKETS, -(-rank * total // 100), key=self._reached)] for rank in ranks]

    def _reached(self, bucket: int) -> int:
        """Return how many requests took at most as long as those in ``bucket``."""
        return sum(reached[bisect_right(cells, first_cell + bucket)] for first_cell, cells, reached in self.histograms)


def _split(encoded: bytes | memoryview) -> Iterator[Histogram]:
    """Yield the histogram of each status class in an encoded sketch."""
    cells, counts = decode(encoded)
    start = 0
    while start < len(cells):
        first_cell = cells[start] // CLASS_STRIDE * CLASS_STRIDE
        stop = bisect_left(cells, first_cell + CLASS_STRIDE, start)
        yield Histogram(first_cell, cells[start:stop], list(accumulate(counts[start:stop], initial=0)))
        start = stop
