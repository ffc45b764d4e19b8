"""Webhooks whose receiver answers at once, against a Celery task for each delivery (Redis, prefork)."""

import sys
from collections.abc import Iterator, Mapping
from statistics import median

from celery import Celery

from tests.benchmarks.broker import redis_broker
from tests.benchmarks.databases import execute
from tests.benchmarks.naive.models import Delivery
from tests.benchmarks.receiver import Receiver, receiving
from tests.benchmarks.results import ROUNDS, SECONDS, Row
from tests.benchmarks.senders import FILLER, Backlog, arrivals_per_second, engine_command, running
from tests.webhooks.factories import SECRET

THREADS = 32  # the default of STOA_WEBHOOK_THREADS
TASKS = 4_000  # in a round: more than a worker does in its seconds
WORKER = [sys.executable, "-m", "celery", "--app", "tests.benchmarks.naive.tasks", "worker"]
WORKER_SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.benchmarks.naive.worker_settings"}
REUSE = {"NAIVE_REUSES_CONNECTIONS": "yes"}


def delivery_rows() -> Iterator[Row]:
    with receiving() as receiver, redis_broker() as broker:
        backlog = Backlog("bench-deliveries", receiver)
        rounds = [
            (
                our_rate(backlog, receiver, THREADS),
                _naive_rate(broker, receiver, {}),
                _naive_rate(broker, receiver, REUSE),
            )
            for _round in range(ROUNDS)
        ]
    ours, default, reusing = (median(one[place] for one in rounds) for place in range(3))
    name = f"webhooks, instant receiver, {THREADS} threads"
    yield Row(name, f"{ours:,.0f}/s", f"Celery, default settings: {default:,.0f}/s", ours / default, goal=15)
    yield Row(
        f"{name}, connections reused by both", f"{ours:,.0f}/s", f"Celery: {reusing:,.0f}/s", ours / reusing, goal=8
    )


def our_rate(backlog: Backlog, receiver: Receiver, threads: int) -> float:
    """Return how many deliveries a second arrive from one process with so many threads."""
    ready = backlog.lay_ready()
    with running(engine_command(threads), {"DJANGO_SETTINGS_MODULE": "stoa_cp.settings"}):
        return arrivals_per_second(receiver, seconds=SECONDS, ready=ready)


def _naive_rate(broker: str, receiver: Receiver, environment: Mapping[str, str]) -> float:
    """Return how many arrive from a worker with as many processes as there are cores."""
    execute("TRUNCATE naive_delivery, naive_attempt")
    body = f'{{"data":{{"filler":"{FILLER}"}}}}'
    rows = [Delivery(url=receiver.url, secret=SECRET, event_id=f"evt-{number}", body=body) for number in range(TASKS)]
    with Celery("naive", broker=broker, set_as_current=False) as app:
        app.control.purge()
        for row in Delivery.objects.bulk_create(rows):
            app.send_task("deliver", [row.pk])
    with running(WORKER, WORKER_SETTINGS | {"NAIVE_BROKER_URL": broker} | environment):
        return arrivals_per_second(receiver, seconds=SECONDS, ready=TASKS)
