"""Counts what workers do, for Prometheus: each process adds its counts to rows in PostgreSQL every few seconds.

Not in the process's own registry, as web processes do: workers have no port, and may run on any machine.
"""

from collections import Counter
from enum import StrEnum
from threading import Lock
from time import monotonic

import structlog
from django.db import DatabaseError, InterfaceError, connection

logger = structlog.get_logger(__name__)

# A process that is killed loses what it counted since. Shorter would be more statements, and no scraper sees more: the
# usual interval of Prometheus is 15 to 60 s.
FLUSH_SECONDS = 5.0

# Sorted: two processes that lock the same rows in different orders would deadlock.
ADD = """
INSERT INTO stoa_cp_workermetric (metric, label, value, changed_at)
SELECT metric, label, value, statement_timestamp()
FROM unnest(%(metrics)s::text[], %(labels)s::text[], %(values)s::float8[]) AS counted (metric, label, value)
ORDER BY metric, label
ON CONFLICT (metric, label) DO UPDATE
    SET value = stoa_cp_workermetric.value + excluded.value, changed_at = excluded.changed_at
"""


class Counted(StrEnum):
    """What workers count. The label is a task's name, or the result of an attempt."""

    TASKS_SUCCEEDED = "tasks_succeeded"
    TASKS_FAILED = "tasks_failed"
    TASK_SECONDS = "task_seconds"
    TASK_WAIT_SECONDS = "task_wait_seconds"
    TASKS_OF_BEAT = "tasks_of_beat"
    ATTEMPTS = "attempts"


class WorkerMetrics:
    """The counts of this process that are not in the database yet."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = Lock()
        self._flushed_at = float("-inf")

    def add(self, metric: Counted, label: str, amount: float = 1.0) -> None:
        """Count; nothing is written yet."""
        with self._lock:
            # Counter's values are typed as whole numbers, and may be any.
            self._counts[metric.value, label] += amount  # type: ignore[assignment]  # see above

    def flush_if_due(self) -> None:
        """Write the counts unless this process has done so in the last FLUSH_SECONDS."""
        if monotonic() >= self._flushed_at + FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Add the counts to the rows. Without a database they are kept for the next time, and nothing fails."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            self._flushed_at = monotonic()
        if not counts:
            return
        metrics, labels = zip(*counts, strict=True)
        columns = {"metrics": list(metrics), "labels": list(labels), "values": [*map(float, counts.values())]}
        try:
            with connection.cursor() as cursor:
                cursor.execute(ADD, columns)
        except (DatabaseError, InterfaceError) as error:
            with self._lock:
                self._counts.update(counts)
            logger.warning("worker_metrics_not_written", error=str(error))


# One per process: all threads of a worker count in it.
worker_metrics = WorkerMetrics()
