"""Reads counts and percentiles from distributions, several at once, without adding them up first."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from metrics.histograms.cumulative import CumulativeHistogram, distribution_of
from metrics.histograms.sketch import CLASS_STRIDE, FIRST_ERROR_CLASS, VALUE_MS, decode

BUCKETS = range(len(VALUE_MS))
STATUS_CLASSES = range(1, 6)


@dataclass(slots=True)
class LatencySummary:
    """Any number of distributions, read as their sum, and how many of their requests the upstream failed to answer."""

    distributions: list[CumulativeHistogram] = field(default_factory=list)
    errors: int = 0

    @classmethod
    def of_cells(cls, cells: Sequence[int], counts: Sequence[int]) -> Self:
        """Read a sketch, or those of its cells that are of one status class; the cells ascend."""
        failed = bisect_left(cells, FIRST_ERROR_CLASS * CLASS_STRIDE)
        return cls([distribution_of(cells, counts)], sum(counts[failed:]))

    @property
    def requests(self) -> int:
        return sum([distribution[-1] for distribution in self.distributions])

    def include(self, other: "LatencySummary") -> None:
        """Read the other's requests too."""
        self.distributions += other.distributions
        self.errors += other.errors

    def percentiles(self, *ranks: int) -> list[int | None]:
        """Return the nearest-rank percentiles in whole milliseconds, each within 1 %; None without requests."""
        total = self.requests
        if not total:
            return [None for _ in ranks]
        # The nearest rank is ⌈rank × total / 100⌉, here in integers; its bucket is the first that reaches it.
        return [VALUE_MS[self._bucket_that_reaches(-(-rank * total // 100))] for rank in ranks]

    def _bucket_that_reaches(self, count: int) -> int:
        # Nearly always there is one: most lines of an answer are a single row.
        if len(self.distributions) == 1:
            return bisect_left(self.distributions[0], count)
        return bisect_left(BUCKETS, count, key=self._reached)

    def _reached(self, bucket: int) -> int:
        """Return how many requests took at most as long as those in ``bucket``."""
        return sum([each[bucket] if bucket < len(each) else each[-1] for each in self.distributions])


def read_sketch(encoded: bytes | memoryview) -> LatencySummary:
    """Return the reading of an encoded sketch."""
    return LatencySummary.of_cells(*decode(encoded))


def read_status_classes(encoded: bytes) -> Iterator[tuple[str, LatencySummary]]:
    """Yield the reading of each status class that occurs in an encoded sketch, and its name: ``2xx``."""
    cells, counts = decode(encoded)
    for status_class in STATUS_CLASSES:
        start, stop = (bisect_left(cells, (status_class + after) * CLASS_STRIDE) for after in (0, 1))
        if start < stop:
            yield f"{status_class}xx", LatencySummary.of_cells(cells[start:stop], counts[start:stop])
