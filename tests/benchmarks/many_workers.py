"""Four worker processes against one, with a receiver that takes 200 ms."""

from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median

from tests.benchmarks.receiver import Receiver, receiving
from tests.benchmarks.results import ROUNDS, SECONDS, Row
from tests.benchmarks.senders import Backlog, arrivals_per_second, engine_command, running

WORKERS, THREADS = 4, 8
DELAY_SECONDS = 0.2
GOAL = 3
SETTINGS = {"DJANGO_SETTINGS_MODULE": "stoa_cp.settings"}


def many_workers_rows() -> Iterator[Row]:
    with receiving(DELAY_SECONDS) as receiver:
        backlog = Backlog("bench-workers", receiver)
        rounds = [[_rate(backlog, receiver, workers) for workers in (1, WORKERS)] for _round in range(ROUNDS)]
    one, many = (median(each[place] for each in rounds) for place in (0, 1))
    name = f"webhooks, receiver of {DELAY_SECONDS * 1000:.0f} ms, {WORKERS} workers of {THREADS} threads, against one"
    yield Row(name, f"{many:,.0f}/s", f"{one:,.0f}/s", many / one, GOAL)


def _rate(backlog: Backlog, receiver: Receiver, workers: int) -> float:
    """Return how many deliveries a second arrive from so many processes."""
    ready = backlog.lay_ready()
    with ExitStack() as processes:
        for _worker in range(workers):
            processes.enter_context(running(engine_command(THREADS), SETTINGS))
        return arrivals_per_second(receiver, seconds=SECONDS, ready=ready)
