"""Reads counts and percentiles from one or more histograms, without adding the histograms up first."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from metrics.histograms.cumulative import CumulativeHistogram, cumulate
from metrics.histograms.sketch import CLASS_STRIDE, FIRST_ERROR_CLASS, VALUE_MS, decode

BUCKETS = range(len(VALUE_MS))
STATUS_CLASSES = range(1, 6)  # 1xx to 5xx (RFC 9110 §15)


@dataclass(slots=True)
class LatencySummary:
    """The sum of some histograms, and how many of their requests failed at the API (statuses from 500).

    The histograms are kept side by side. A percentile of their sum is one binary search, which looks at about ten
    buckets of each histogram instead of adding up all 780.
    """

    histograms: list[CumulativeHistogram] = field(default_factory=list)
    errors: int = 0

    @classmethod
    def of_cells(cls, cells: Sequence[int], counts: Sequence[int]) -> Self:
        """Summarize the cells of a sketch, or some of them. The cells ascend."""
        failed = bisect_left(cells, FIRST_ERROR_CLASS * CLASS_STRIDE)
        return cls([cumulate(cells, counts)], sum(counts[failed:]))

    @property
    def requests(self) -> int:
        return sum([histogram[-1] for histogram in self.histograms])

    def include(self, other: "LatencySummary") -> None:
        """Add the other summary's requests to this one."""
        self.histograms += other.histograms
        self.errors += other.errors

    def percentiles(self, *ranks: int) -> list[int | None]:
        """Return the nearest-rank percentiles in whole milliseconds, each within 1 %; None without requests."""
        total = self.requests
        if not total:
            return [None for _ in ranks]
        # The nearest rank is ⌈rank × total / 100⌉, here in integers; its bucket is the first that reaches it.
        return [VALUE_MS[self._bucket_that_reaches(-(-rank * total // 100))] for rank in ranks]

    def _bucket_that_reaches(self, count: int) -> int:
        # A shortcut without a Python call per step: most points of an answer are one row of a table.
        if len(self.histograms) == 1:
            return bisect_left(self.histograms[0], count)
        return bisect_left(BUCKETS, count, key=self._cumulated)

    def _cumulated(self, bucket: int) -> int:
        """Return how many requests are in the buckets 0 to ``bucket`` of all histograms."""
        return sum([each[bucket] if bucket < len(each) else each[-1] for each in self.histograms])


def summarize_sketch(encoded: bytes | memoryview) -> LatencySummary:
    """Return the summary of an encoded sketch."""
    return LatencySummary.of_cells(*decode(encoded))


def summarize_status_classes(encoded: bytes) -> Iterator[tuple[str, LatencySummary]]:
    """Yield the name (``2xx``) and the summary of each status class that occurs in an encoded sketch."""
    cells, counts = decode(encoded)
    for status_class in STATUS_CLASSES:
        start, stop = (bisect_left(cells, (status_class + after) * CLASS_STRIDE) for after in (0, 1))
        if start < stop:
            yield f"{status_class}xx", LatencySummary.of_cells(cells[start:stop], counts[start:stop])
