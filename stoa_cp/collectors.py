"""What Prometheus reads of workers, the queue, the databases, partitions and signed heads, at each scrape.

Every web process gives the same answer: all of it is in the database or at the broker. No statement reads more rows
than the product has tasks, tenants, partitions or sessions.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import product
from typing import Any

from celery import current_app
from celery.exceptions import CeleryError
from django.conf import settings
from django.db import DatabaseError, connections
from django.db.models import Max
from kombu.exceptions import KombuError
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from metrics.rollups.partitions import partition_names
from metrics.rollups.resolutions import RESOLUTIONS
from stoa_cp.celery import BEAT_SCHEDULE
from stoa_cp.eventlog.models import EventCheckpoint
from stoa_cp.jobs.broker import PUBLISH_SECONDS, QUEUE, publishing_options
from stoa_cp.observability.models import WorkerMetric
from stoa_cp.observability.worker_metrics import Counted
from webhooks.models import Failure

# More would be a scan of a queue that is lost anyway; the alarm has gone off long before.
MOST_MESSAGES = 10_000
# Also those of which there are none: a missing series is not 0 to Prometheus.
ATTEMPT_RESULTS = ("delivered", *Failure.values, "crashed")

# Messages that a worker may take now. Of those that a worker has taken and not acknowledged, `vt` is in the future.
QUEUE_LENGTH = f"""
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(enqueued_at)), 0)::float8
FROM (SELECT enqueued_at FROM pgmq.q_{QUEUE} WHERE vt <= clock_timestamp() LIMIT {MOST_MESSAGES}) waiting
"""  # noqa: S608 - constants
# By the names that processes give themselves, such as stoa-web-4711. Sessions of another role show this one no state.
SESSIONS = """
SELECT coalesce(substring(application_name FROM '^stoa-(web|worker|beat)'), 'other') AS program,
    coalesce(state, 'unknown') AS state, count(*)
FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' GROUP BY 1, 2
"""
PROGRAMS = ("web", "worker", "beat", "other")
SESSION_STATES = ("active", "idle", "idle in transaction", "idle in transaction (aborted)", "unknown")
# The time of the last replayed commit alone would grow while nothing is written: a replica that receives, and has
# replayed all that it has received, is up to date. A replica that is cut off has no receiver. A primary has no lag: the
# address may lead to one after a failover.
REPLICA_LAG = """
SELECT CASE
    WHEN NOT pg_is_in_recovery() THEN 0
    WHEN EXISTS (SELECT FROM pg_stat_wal_receiver) AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())
END::float8
"""
UNSIGNED_CHAINS = """
SELECT count(*) FROM stoa_cp_eventchain chain LEFT JOIN stoa_cp_eventcheckpoint signed USING (tenant_id)
WHERE chain.sequence > coalesce(signed.sequence, 0)
"""


class WorkCollector(Collector):
    """Tasks and attempts of all workers, and the queue between them and the web processes."""

    def collect(self) -> Iterable[Metric]:
        rows = list(WorkerMetric.objects.all())
        by_metric: dict[str, dict[str, WorkerMetric]] = {}
        for row in rows:
            by_metric.setdefault(row.metric, {})[row.label] = row
        yield from _task_metrics(by_metric)
        attempts = by_metric.get(Counted.ATTEMPTS, {})
        family = CounterMetricFamily("stoa_delivery_attempts", "Attempts to deliver, by result.", labels=["result"])
        for result in ATTEMPT_RESULTS:
            family.add_metric([result], attempts[result].value if result in attempts else 0)
        yield family
        yield from _queue_metrics()


def _task_metrics(by_metric: Mapping[str, Mapping[str, WorkerMetric]]) -> Iterable[Metric]:
    succeeded, failed = (by_metric.get(name, {}) for name in (Counted.TASKS_SUCCEEDED, Counted.TASKS_FAILED))
    runs = CounterMetricFamily("stoa_task_runs", "Runs of tasks, by result.", labels=["task", "result"])
    last = GaugeMetricFamily(
        "stoa_task_last_success_timestamp_seconds", "When a task last succeeded; no series if never.", labels=["task"]
    )
    for task in sorted(succeeded.keys() | failed.keys()):
        runs.add_metric([task, "succeeded"], succeeded[task].value if task in succeeded else 0)
        runs.add_metric([task, "failed"], failed[task].value if task in failed else 0)
        if task in succeeded:
            last.add_metric([task], succeeded[task].changed_at.timestamp())
    interval = GaugeMetricFamily("stoa_task_interval_seconds", "How often beat sends a task.", labels=["task"])
    for entry in BEAT_SCHEDULE.values():
        interval.add_metric([entry["task"]], entry["schedule"])
    yield from (runs, last, interval)
    for name, metric, text in (
        ("stoa_task_seconds", Counted.TASK_SECONDS, "How long runs of a task took, added up."),
        ("stoa_task_wait_seconds", Counted.TASK_WAIT_SECONDS, "How long runs waited in the queue, added up."),
    ):
        family = CounterMetricFamily(name, text, labels=["task"])
        for task, row in sorted(by_metric.get(metric, {}).items()):
            family.add_metric([task], row.value)
        yield family
    beat = GaugeMetricFamily(
        "stoa_beat_last_task_timestamp_seconds", "When a worker last ran a task of beat; no series if never."
    )
    for row in by_metric.get(Counted.TASKS_OF_BEAT, {}).values():
        beat.add_metric([], row.changed_at.timestamp())
    yield beat


def _queue_metrics() -> Iterable[Metric]:
    messages = GaugeMetricFamily(
        "stoa_queue_messages", "Tasks that no worker has taken; 10,000 means at least so many."
    )
    age = GaugeMetricFamily(
        "stoa_queue_age_seconds", "How long the oldest of them has waited; only of the queue in PostgreSQL."
    )
    if settings.STOA_BROKER_URL:
        length = _length_at_broker()
    elif _is_queue_installed():
        length, seconds = _row_of("default", QUEUE_LENGTH)
        age.add_metric([], seconds)
    else:
        length = None
    if length is not None:
        messages.add_metric([], length)
    yield from (messages, age)
    yield GaugeMetricFamily("stoa_broker_up", "1 if the broker answers.", length is not None)


def _is_queue_installed() -> bool:
    (is_installed,) = _row_of("default", f"SELECT to_regclass('pgmq.q_{QUEUE}') IS NOT NULL")
    return bool(is_installed)


def _length_at_broker() -> int | None:
    """Return the number of messages at a broker other than PostgreSQL; None if it does not answer in time."""
    url = current_app.conf.broker_url
    options = publishing_options(url)
    broker = current_app.connection_for_write(connect_timeout=PUBLISH_SECONDS, transport_options=options)
    unreachable: tuple[type[BaseException], ...] = (CeleryError, KombuError, OSError, *broker.connection_errors)
    unknown_queue: tuple[type[BaseException], ...] = broker.channel_errors
    try:
        with broker:
            broker.ensure_connection(max_retries=1, timeout=1)
            channel: Any = broker.default_channel
            # Passive: it counts, and creates nothing.
            return int(channel.queue_declare(QUEUE, passive=True).message_count)
    except unknown_queue:
        return 0  # there is no such queue: Redis drops it with its last message
    except unreachable:
        return None


class StorageCollector(Collector):
    """Sessions of the database, the replica's lag, partitions made ahead, and signed heads of the event log."""

    def collect(self) -> Iterable[Metric]:
        yield from _session_metrics()
        if settings.STOA_METRICS_DATABASE != "default":
            yield from _replica_metrics()
        now = datetime.now(UTC)
        ahead = GaugeMetricFamily(
            "stoa_partitions_ahead", "Partitions of traffic that begin in the future.", labels=["resolution"]
        )
        for resolution in RESOLUTIONS:
            starts = map(resolution.start_of_partition, partition_names(resolution))
            ahead.add_metric([resolution.name], sum(start > now for start in starts))
        yield ahead
        yield from _head_metrics()


def _session_metrics() -> Iterable[Metric]:
    family = GaugeMetricFamily(
        "stoa_database_sessions", "Sessions in this database, by program and state.", labels=["program", "state"]
    )
    found: Counter[tuple[str, str]] = Counter()
    for program, state, count in _rows_of("default", SESSIONS):
        # PostgreSQL has rarer states, such as "fastpath function call".
        found[program, state if state in SESSION_STATES else "unknown"] += count
    for program, state in product(PROGRAMS, SESSION_STATES):
        family.add_metric([program, state], found[program, state])
    yield family
    (most,) = _row_of("default", "SELECT current_setting('max_connections')::int")
    yield GaugeMetricFamily("stoa_database_sessions_max", "The server's max_connections.", most)


def _replica_metrics() -> Iterable[Metric]:
    lag = GaugeMetricFamily("stoa_replica_lag_seconds", "How far the replica is behind; no series while it is away.")
    is_up = True
    try:
        (seconds,) = _row_of(settings.STOA_METRICS_DATABASE, REPLICA_LAG)
        lag.add_metric([], seconds or 0)
    except DatabaseError:
        is_up = False
    yield GaugeMetricFamily("stoa_replica_up", "1 if the replica answers.", is_up)
    yield lag


def _head_metrics() -> Iterable[Metric]:
    newest = EventCheckpoint.objects.aggregate(at=Max("at"))["at"]
    family = GaugeMetricFamily(
        "stoa_chain_head_signed_timestamp_seconds", "When a head of the event log was last signed; no series if never."
    )
    if newest:
        family.add_metric([], datetime.fromisoformat(newest).timestamp())
    yield family
    (unsigned,) = _row_of("default", UNSIGNED_CHAINS)
    yield GaugeMetricFamily("stoa_chains_unsigned", "Chains with events after their last signed head.", unsigned)


def _rows_of(alias: str, statement: str) -> list[tuple[Any, ...]]:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def _row_of(alias: str, statement: str) -> tuple[Any, ...]:
    (row,) = _rows_of(alias, statement)
    return row
