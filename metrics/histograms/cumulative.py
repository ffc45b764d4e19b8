"""Cumulative histograms: how many requests took at most as long as each latency bucket.

Hours and days store one beside their sketch. A percentile is a binary search in the stored bytes, with nothing to add
up: a tenant's 31 days by day take 0.32 ms, where unpacking and adding 31 sketches took 3.9 ms. Refused: storing p50,
p95 and p99, which is smaller, but no total over several rows follows from them.
"""

import struct
import sys
from array import array
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate

from metrics.histograms.sketch import CLASS_STRIDE, COUNT_CODES, VALUE_MS, width_of

# The n-th number counts the requests of the buckets 0 to n. The last number counts all requests; buckets above it are
# empty and left out. There is at least one number.
CumulativeHistogram = Sequence[int]


def cumulate(cells: Collection[int], counts: Iterable[int]) -> CumulativeHistogram:
    """Return the histogram of a sketch's cells, over all their status classes."""
    in_bucket = [0] * len(VALUE_MS)
    for cell, count in zip(cells, counts, strict=True):
        in_bucket[cell % CLASS_STRIDE] += count
    slowest = max((cell % CLASS_STRIDE for cell in cells), default=0)
    return list(accumulate(in_bucket[: slowest + 1]))


def encode_histogram(histogram: CumulativeHistogram) -> bytes:
    """Encode as the width of a number (as in a sketch), then the numbers. Equal histograms have equal encodings."""
    width = width_of(histogram[-1])
    return struct.pack(f"<B{len(histogram)}{COUNT_CODES[width]}", width, *histogram)


def decode_histogram(encoded: bytes) -> CumulativeHistogram:
    """Return the histogram of its encoding."""
    # An array copies the bytes as they are, in a tenth of the time that struct.unpack takes.
    numbers = array(COUNT_CODES[encoded[0]], encoded[1:])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
