"""How many requests took at most as long as each latency bucket: what percentiles are looked up in."""

import struct
import sys
from array import array
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate

from metrics.histograms.sketch import CLASS_STRIDE, COUNT_CODES, VALUE_MS, width_of

# The n-th number is that of the buckets up to n; the last is that of all requests, and there is at least one number.
CumulativeHistogram = Sequence[int]


def distribution_of(cells: Collection[int], counts: Iterable[int]) -> CumulativeHistogram:
    """Return the distribution of a sketch's cells, whatever their statuses."""
    in_bucket = [0] * len(VALUE_MS)
    for cell, count in zip(cells, counts, strict=True):
        in_bucket[cell % CLASS_STRIDE] += count
    slowest = max((cell % CLASS_STRIDE for cell in cells), default=0)
    return list(accumulate(in_bucket[: slowest + 1]))


def encode_distribution(distribution: CumulativeHistogram) -> bytes:
    """Encode as the width of a number, as in a sketch, then the numbers. Equal distributions have equal encodings."""
    width = width_of(distribution[-1])
    return struct.pack(f"<B{len(distribution)}{COUNT_CODES[width]}", width, *distribution)


def decode_distribution(encoded: bytes) -> CumulativeHistogram:
    """Return the distribution of an encoded one."""
    # An array takes the bytes as they are: a tenth of the time that unpacking them takes.
    numbers = array(COUNT_CODES[encoded[0]], encoded[1:])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
