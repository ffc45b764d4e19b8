"""Sketches: mergeable counts of requests by status class and latency bucket.

A sketch is what DDSketch is (Masson et al., 2019): the buckets grow with the latency, so that their relative error is
fixed. Percentiles themselves cannot be added up; these counts can, exactly and in any order. So minutes, hours, days
and answers over any range have the same error as a single batch.
"""

import math
import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from typing import Self

# A percentile read from a sketch differs from the exact one by at most this share. Answers state it
# (`percentile_relative_error`). `_latency_buckets` is built for this value.
RELATIVE_ERROR = 0.01
# A day. A longer latency is a clock fault at the gateway, not a request.
MAX_LATENCY_MS = 86_400_000

# A cell is one number: status class × this stride + latency bucket. 1 % and a day make about 780 buckets; 1,024 is the
# next power of two, and the highest cell (5,900) fits into the 16 bits of the encoding.
CLASS_STRIDE = 1024

FIRST_ERROR_CLASS = 5  # statuses from 500

# struct codes for the counts, narrowest first; the encoding's first byte is an index into them.
COUNT_CODES = "BHIQ"


def _latency_buckets() -> tuple[list[int], list[int]]:
    """Return each bucket's lowest latency, and the latency that stands for the whole bucket, in whole milliseconds.

    A bucket is as wide as the error allows: its value is at most 1 % above its lowest latency and at most 1 %
    below its highest. So every bucket below 99 ms holds a single value, and rounding adds no error anywhere.
    """
    lowest, values = [0], [0]
    following = 1
    while following <= MAX_LATENCY_MS:
        # In integers: a float might put a bucket's value just outside the error.
        value = following * 101 // 100
        lowest.append(following)
        values.append(value)
        following = value * 100 // 99 + 1
    return lowest, values


LOWEST_MS, VALUE_MS = _latency_buckets()
# The lowest latency that `round` takes into each bucket. A half goes to the even neighbour. With these thresholds the
# bisection works on the latency as it was sent, so the ingestion does not round each record first.
_THRESHOLDS_MS = [lowest - 0.5 if lowest % 2 == 0 else math.nextafter(lowest - 0.5, lowest) for lowest in LOWEST_MS]


def cell_of(status: int, latency_ms: float) -> int:
    """Return the cell that counts a request with this HTTP status and latency (rounded to whole milliseconds)."""
    return status // 100 * CLASS_STRIDE + bisect_right(_THRESHOLDS_MS, latency_ms) - 1


class Sketch:
    """How many requests fell into each cell. Adding two sketches is exact, in any order.

    ``metrics.histograms.percentiles`` reads counts and percentiles from encoded sketches.
    """

    __slots__ = ("cells",)

    def __init__(self, cells: dict[int, int] | None = None) -> None:
        # A dict, because most sketches are sparse: of 3,905 cells, a minute of one subscription fills a few.
        self.cells = {} if cells is None else cells

    @classmethod
    def of(cls, cells: Iterable[int]) -> Self:
        """Return a sketch of single requests, given the cell of each."""
        return cls(Counter(cells))

    def merge(self, other: Self) -> None:
        """Add the other sketch's requests to this one."""
        cells = self.cells
        for cell, count in other.cells.items():
            cells[cell] = cells.get(cell, 0) + count

    @property
    def requests(self) -> int:
        return sum(self.cells.values())

    @property
    def errors(self) -> int:
        """The number of requests that failed at the API: statuses from 500."""
        return sum(count for cell, count in self.cells.items() if cell >= FIRST_ERROR_CLASS * CLASS_STRIDE)

    def to_bytes(self) -> bytes:
        """Encode as the width of a count (1 byte), the cells in ascending order (2 bytes each), then their counts.

        A cell with a count below 256 takes 3 bytes. Equal sketches have equal encodings, so that the rebuild can
        compare bytes.
        """
        cells = sorted(self.cells)
        counts = [self.cells[cell] for cell in cells]
        width = width_of(max(counts, default=0))
        size = len(cells)
        return struct.pack(f"<B{size}H{size}{COUNT_CODES[width]}", width, *cells, *counts)

    @classmethod
    def from_bytes(cls, encoded: bytes | memoryview) -> Self:
        return cls(dict(zip(*decode(encoded), strict=True)))


def width_of(highest: int) -> int:
    """Return the index in COUNT_CODES of the narrowest code that holds counts up to ``highest``."""
    return next(index for index in range(len(COUNT_CODES)) if highest < 256 ** (2**index))


def decode(encoded: bytes | memoryview) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the cells of an encoded sketch in ascending order, and their counts."""
    width = encoded[0]
    size = (len(encoded) - 1) // (2 + 2**width)
    numbers = struct.unpack_from(f"<{size}H{size}{COUNT_CODES[width]}", encoded, 1)
    return numbers[:size], numbers[size:]
