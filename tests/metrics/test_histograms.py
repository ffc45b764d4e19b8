"""Percentiles from sketches and histograms: within 1 % of the exact ones, however they were added up."""

import random
import sys
from collections.abc import Callable, Iterable
from itertools import pairwise
from math import ceil, nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.histograms.cumulative import cumulate, decode_histogram, encode_histogram
from metrics.histograms.percentiles import LatencySummary, summarize_sketch, summarize_status_classes
from metrics.histograms.sketch import LOWEST_MS, MAX_LATENCY_MS, VALUE_MS, Sketch, cell_of

LATENCIES = st.integers(0, MAX_LATENCY_MS)
SAMPLES = st.lists(LATENCIES, min_size=1, max_size=200)


def sketch_of(latencies: list[int], status: int = 200) -> Sketch:
    return Sketch.of(cell_of(status, latency) for latency in latencies)


def exact_percentile(latencies: list[int], rank: int) -> int:
    """Nearest rank, from the raw values."""
    return sorted(latencies)[ceil(rank * len(latencies) / 100) - 1]


def read_stored(sketch: Sketch) -> LatencySummary:
    """Read a sketch from the form that hours and days store for it."""
    encoded = encode_histogram(cumulate(sketch.cells, sketch.cells.values()))
    return LatencySummary([decode_histogram(encoded)], sketch.errors)


def read_all(summaries: Iterable[LatencySummary]) -> LatencySummary:
    together = LatencySummary()
    for summary in summaries:
        together.include(summary)
    return together


def assert_close(summary: LatencySummary, latencies: list[int]) -> None:
    for rank, estimate in zip((50, 95, 99), summary.percentiles(50, 95, 99), strict=True):
        exact = exact_percentile(latencies, rank)
        assert estimate is not None
        assert abs(estimate - exact) * 100 <= exact


def test_no_bucket_is_wider_than_one_per_cent_allows() -> None:
    for index, (lowest, following) in enumerate(pairwise([*LOWEST_MS, MAX_LATENCY_MS + 1])):
        highest, value = following - 1, VALUE_MS[index]
        assert (value - lowest) * 100 <= lowest
        assert (highest - value) * 100 <= highest


def test_short_latencies_are_exact() -> None:
    for latency in range(99):
        assert summarize_sketch(sketch_of([latency]).to_bytes()).percentiles(50) == [latency]


@pytest.mark.parametrize("towards", [0, MAX_LATENCY_MS])
def test_fractions_are_rounded_half_to_even(towards: int) -> None:
    halves = [lowest - 0.5 for lowest in LOWEST_MS[1:]]
    for latency in halves + [nextafter(half, towards) for half in halves]:
        assert cell_of(200, latency) == cell_of(200, round(latency))


@given(SAMPLES)
def test_percentiles_of_any_sample_are_within_one_per_cent(latencies: list[int]) -> None:
    assert_close(summarize_sketch(sketch_of(latencies).to_bytes()), latencies)
    assert_close(read_stored(sketch_of(latencies)), latencies)


@given(st.lists(SAMPLES, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_merging_changes_nothing(parts: list[list[int]], chance: random.Random) -> None:
    latencies = [latency for part in parts for latency in part]
    sketches = [sketch_of(part) for part in parts]
    stored = [read_stored(sketch) for sketch in sketches]
    while len(sketches) > 1:
        chance.shuffle(sketches)
        sketches[0].merge(sketches.pop())
    assert sketches[0].cells == sketch_of(latencies).cells
    assert_close(summarize_sketch(sketches[0].to_bytes()), latencies)
    chance.shuffle(stored)
    assert_close(read_all(stored), latencies)


@pytest.mark.parametrize(
    "draw",
    [
        lambda chance: chance.lognormvariate(4.5, 0.8),
        lambda chance: chance.choice([chance.gauss(20, 3), chance.gauss(2_000, 300)]),
        lambda _chance: 250.0,
        lambda chance: chance.uniform(0, 100_000),
    ],
    ids=["lognormal", "bimodal", "constant", "uniform"],
)
@pytest.mark.parametrize("size", [1, 2, 3, 20, 50_000])
def test_shapes_of_real_traffic_are_within_one_per_cent(draw: Callable[[random.Random], float], size: int) -> None:
    chance = random.Random(size)  # noqa: S311 - repeatable, and no secret
    latencies = [max(0, round(draw(chance))) for _ in range(size)]
    assert_close(summarize_sketch(sketch_of(latencies).to_bytes()), latencies)
    assert_close(read_stored(sketch_of(latencies)), latencies)


@given(st.dictionaries(st.integers(1024, 6143), st.integers(1, 2**64 - 1)))
def test_an_encoded_sketch_comes_back(cells: dict[int, int]) -> None:
    assert Sketch.from_bytes(Sketch(cells).to_bytes()).cells == cells


def test_equal_sketches_have_equal_encodings() -> None:
    latencies = list(range(0, 5_000, 7))
    assert sketch_of(latencies).to_bytes() == sketch_of(latencies[::-1]).to_bytes()


def test_a_hundred_thousand_requests_take_a_kilobyte() -> None:
    chance = random.Random(1)  # noqa: S311 - repeatable, and no secret
    sketch = sketch_of([round(chance.lognormvariate(4.5, 0.8)) for _ in range(100_000)])
    assert len(sketch.to_bytes()) < 1_024


@given(st.lists(st.tuples(st.integers(100, 599), SAMPLES), min_size=1, max_size=12))
def test_sketches_and_what_is_stored_for_them_read_like_their_sum(parts: list[tuple[int, list[int]]]) -> None:
    sketches = [sketch_of(latencies, status) for status, latencies in parts]
    total = Sketch()
    for sketch in sketches:
        total.merge(sketch)
    added = summarize_sketch(total.to_bytes())

    assert (added.requests, added.errors) == (total.requests, total.errors)
    ranks = range(1, 101)
    for summary in (
        read_all(summarize_sketch(sketch.to_bytes()) for sketch in sketches),
        read_all(read_stored(sketch) for sketch in sketches),
        read_all(part for _name, part in summarize_status_classes(total.to_bytes())),
        read_stored(total),
    ):
        assert (summary.requests, summary.errors) == (added.requests, added.errors)
        assert summary.percentiles(*ranks) == added.percentiles(*ranks)


@given(st.dictionaries(st.builds(cell_of, st.integers(100, 599), LATENCIES), st.integers(1, 2**48)))
def test_an_encoded_histogram_comes_back(cells: dict[int, int]) -> None:
    histogram = cumulate(cells, cells.values())
    assert list(decode_histogram(encode_histogram(histogram))) == histogram


def test_bytes_are_read_alike_on_machines_of_the_other_order(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = encode_histogram([1, 300])
    assert list(decode_histogram(encoded)) == [1, 300]
    monkeypatch.setattr(sys, "byteorder", {"little": "big", "big": "little"}[sys.byteorder])
    assert list(decode_histogram(encoded)) == [1 << 8, (300 & 255) << 8 | 300 >> 8]


def test_statuses_are_told_apart() -> None:
    merged = Sketch()
    for count, status in ((2, 200), (1, 404), (3, 503)):
        merged.merge(sketch_of([10] * count, status))
    classes = dict(summarize_status_classes(merged.to_bytes()))

    assert {name: (part.requests, part.errors) for name, part in classes.items()} == {
        "2xx": (2, 0),
        "4xx": (1, 0),
        "5xx": (3, 3),
    }


def test_without_requests_there_is_no_percentile() -> None:
    assert LatencySummary().percentiles(50, 95, 99) == [None, None, None]
    assert summarize_sketch(Sketch().to_bytes()).percentiles(50) == [None]
