"""Percentiles from sketches: within 1 % of the exact ones, however the sketches were added up."""

import random
from collections.abc import Callable
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.readings import Reading
from metrics.sketches import LOWEST_MS, MAX_LATENCY_MS, VALUE_MS, Sketch, cell_of

LATENCIES = st.integers(0, MAX_LATENCY_MS)
SAMPLES = st.lists(LATENCIES, min_size=1, max_size=200)


def sketch_of(latencies: list[int], status: int = 200) -> Sketch:
    return Sketch.of(cell_of(status, latency) for latency in latencies)


def exact_percentile(latencies: list[int], rank: int) -> int:
    """Nearest rank, from the raw values."""
    return sorted(latencies)[ceil(rank * len(latencies) / 100) - 1]


def assert_close(sketch: Sketch, latencies: list[int]) -> None:
    for rank, estimate in zip((50, 95, 99), Reading(sketch.to_bytes()).percentiles(50, 95, 99), strict=True):
        exact = exact_percentile(latencies, rank)
        assert estimate is not None
        assert abs(estimate - exact) * 100 <= exact


def test_no_bucket_is_wider_than_one_per_cent_allows() -> None:
    for index, (lowest, following) in enumerate(pairwise([*LOWEST_MS, MAX_LATENCY_MS + 1])):
        highest, value = following - 1, VALUE_MS[index]
        assert (value - lowest) * 100 <= lowest
        assert (highest - value) * 100 <= highest


def test_short_latencies_are_exact() -> None:
    assert all(Reading(sketch_of([latency]).to_bytes()).percentiles(50) == [latency] for latency in range(99))


@given(SAMPLES)
def test_percentiles_of_any_sample_are_within_one_per_cent(latencies: list[int]) -> None:
    assert_close(sketch_of(latencies), latencies)


@given(st.lists(SAMPLES, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_merging_changes_nothing(parts: list[list[int]], chance: random.Random) -> None:
    together = sketch_of([latency for part in parts for latency in part])
    sketches = [sketch_of(part) for part in parts]
    while len(sketches) > 1:
        chance.shuffle(sketches)
        sketches[0].merge(sketches.pop())
    assert sketches[0].cells == together.cells
    assert_close(sketches[0], [latency for part in parts for latency in part])


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
    assert_close(sketch_of(latencies), latencies)


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
def test_sketches_read_together_read_like_their_sum(parts: list[tuple[int, list[int]]]) -> None:
    total = Sketch()
    for status, latencies in parts:
        total.merge(sketch_of(latencies, status))
    together = Reading(*(sketch_of(latencies, status).to_bytes() for status, latencies in parts))
    added = Reading(total.to_bytes())

    assert (together.requests, together.errors) == (added.requests, added.errors) == (total.requests, total.errors)
    ranks = range(1, 101)
    assert together.percentiles(*ranks) == added.percentiles(*ranks)
    classes = [{name: part.requests for name, part in one.by_status_class().items()} for one in (together, added)]
    assert classes[0] == classes[1]


def test_statuses_are_told_apart() -> None:
    reading = Reading(*(sketch_of([10] * count, status).to_bytes() for status, count in ((200, 2), (404, 1), (503, 3))))

    assert (reading.requests, reading.errors) == (6, 3)
    assert {name: part.requests for name, part in reading.by_status_class().items()} == {"2xx": 2, "4xx": 1, "5xx": 3}


def test_without_requests_there_is_no_percentile() -> None:
    assert Reading().percentiles(50, 95, 99) == [None, None, None]
    assert Reading(Sketch().to_bytes()).percentiles(50) == [None]
