"""Webhooks whose receiver takes 50 ms, against what the threads could send if nothing else took time."""

from collections.abc import Iterator
from statistics import median

from tests.benchmarks.deliveries import our_rate
from tests.benchmarks.receiver import receiving
from tests.benchmarks.results import ROUNDS, Row
from tests.benchmarks.senders import Backlog

DELAY_SECONDS = 0.05
GOALS = {32: 0.8, 128: 0.55}  # by threads


def slow_receiver_rows() -> Iterator[Row]:
    with receiving(DELAY_SECONDS) as receiver:
        backlog = Backlog("bench-slow", receiver)
        rounds = [[our_rate(backlog, receiver, threads) for threads in GOALS] for _round in range(ROUNDS)]
    for place, (threads, goal) in enumerate(GOALS.items()):
        ours, bound = median(one[place] for one in rounds), threads / DELAY_SECONDS
        name = f"webhooks, receiver of {DELAY_SECONDS * 1000:.0f} ms, {threads} threads"
        yield Row(name, f"{ours:,.0f}/s", f"the bound: {bound:,.0f}/s", ours / bound, goal)
