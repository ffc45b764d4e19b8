"""Counts of workers: added up over processes, kept while the database is away, by task for each run."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection

from stoa_cp.celery import app
from stoa_cp.observability.models import WorkerMetric
from stoa_cp.observability.task_runs import SENT_AT, stamp
from stoa_cp.observability.worker_metrics import Counted, WorkerMetrics, worker_metrics
from tests.races import at_once

# Transactions of their own: a task closes a connection that is no longer usable before it begins.
pytestmark = pytest.mark.django_db(transaction=True)


def rows() -> dict[tuple[str, str], float]:
    return {(row.metric, row.label): row.value for row in WorkerMetric.objects.all()}


def test_processes_add_to_the_same_rows_in_any_order() -> None:
    labels = [f"task-{number:02}" for number in range(40)]

    def worker(order: list[str]) -> Callable[[], None]:
        def work() -> None:
            metrics = WorkerMetrics()
            for _time in range(25):
                for label in order:
                    metrics.add(Counted.TASKS_SUCCEEDED, label)
                metrics.flush()

        return work

    # In one order and in the other: without the sort in the statement, two of them deadlock, and one keeps its counts.
    at_once(*[worker(labels), worker(labels[::-1])] * 2)

    assert rows() == {("tasks_succeeded", label): 100 for label in labels}


def test_counts_are_kept_while_the_database_is_away() -> None:
    metrics = WorkerMetrics()
    metrics.add(Counted.ATTEMPTS, "delivered")

    def refuse(*_statement: Any) -> None:
        raise OperationalError

    with connection.execute_wrapper(refuse):
        metrics.flush()
    metrics.add(Counted.ATTEMPTS, "delivered", 2)
    assert rows() == {}

    metrics.flush()
    metrics.flush()
    assert rows() == {("attempts", "delivered"): 3}


def test_a_process_writes_once_in_a_while() -> None:
    metrics = WorkerMetrics()
    for _time in range(10):
        metrics.add(Counted.ATTEMPTS, "timeout")
        metrics.flush_if_due()

    assert rows() == {("attempts", "timeout"): 1}


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    worker_metrics.flush()
    WorkerMetric.objects.all().delete()
    yield
    worker_metrics.flush()


def test_each_run_of_a_task_is_counted_under_its_result() -> None:
    @app.task(name="tests.divide", shared=False)
    def divide(by: int) -> float:
        return 1 / by

    try:
        for by in (1, 2, 0):
            divide.apply((by,))
        worker_metrics.flush()
    finally:
        app.tasks.unregister("tests.divide")

    counted = rows()
    assert counted.pop(("task_seconds", "tests.divide")) > 0
    assert counted == {("tasks_succeeded", "tests.divide"): 2, ("tasks_failed", "tests.divide"): 1}


def test_a_run_tells_how_long_it_waited_and_whether_beat_sent_it() -> None:
    @app.task(name="tests.nothing", shared=False)
    def nothing() -> None:
        """Do nothing."""

    try:
        headers: dict[str, Any] = {}
        stamp(headers)
        headers[SENT_AT] -= 60
        nothing.apply(headers=headers | {"celery_beat_task": True})
        nothing.apply(headers={SENT_AT: "yesterday"})
        worker_metrics.flush()
    finally:
        app.tasks.unregister("tests.nothing")

    assert 60 <= rows()["task_wait_seconds", "tests.nothing"] < 70
    assert rows()["tasks_of_beat", ""] == 1
