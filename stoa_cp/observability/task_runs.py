"""Measures runs of Celery tasks: how many, how long, how long they waited in the queue, and whether beat sends any."""

from collections.abc import Mapping, MutableMapping
from contextlib import ExitStack
from time import monotonic, time
from typing import Any

from celery import states

from stoa_cp.observability.worker_metrics import Counted, worker_metrics
from stoa_cp.tracing.spans import NO_SPAN, Kind, Span, current_traceparent, read_traceparent, span

# In the headers of each message: when it was sent (seconds since 1970, the sender's clock).
SENT_AT = "stoa_sent_at"
TRACEPARENT = "traceparent"
# Celery's beat marks its messages with this.
OF_BEAT = "celery_beat_task"


def stamp(headers: MutableMapping[str, Any]) -> None:
    """Write into a message when it is sent. A message that is tried again keeps its first time."""
    headers.setdefault(SENT_AT, time())
    if traceparent := current_traceparent():
        headers.setdefault(TRACEPARENT, traceparent)


class TaskRun:
    """One run of a task, from its start on; a span if a request or another task has sent it.

    The periodic runs, hundreds a minute, have no spans: ``/metrics`` counts them.
    """

    def __init__(self, name: str, headers: Mapping[str, Any]) -> None:
        self._name = name
        self._began_at = monotonic()
        sent_at = headers.get(SENT_AT)
        if isinstance(sent_at, float):
            # Not below zero: the clocks of two machines differ.
            worker_metrics.add(Counted.TASK_WAIT_SECONDS, name, max(0.0, time() - sent_at))
        if headers.get(OF_BEAT):
            worker_metrics.add(Counted.TASKS_OF_BEAT, "")
        self._span = ExitStack()
        self._state: Span = NO_SPAN
        if parent := read_traceparent(str(headers.get(TRACEPARENT, ""))):
            self._state = self._span.enter_context(span(name, Kind.CONSUMER, parent=parent))

    def end(self, state: str) -> None:
        """Count the run under the state in which Celery leaves it."""
        is_success = state == states.SUCCESS
        if not is_success:
            self._state.fail(state)
        self._span.close()
        worker_metrics.add(Counted.TASKS_SUCCEEDED if is_success else Counted.TASKS_FAILED, self._name)
        worker_metrics.add(Counted.TASK_SECONDS, self._name, monotonic() - self._began_at)
        worker_metrics.flush_if_due()
