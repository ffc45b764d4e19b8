"""The probes: whether the process answers, and whether all that it needs does."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

from celery import current_app
from celery.exceptions import CeleryError
from django.conf import settings
from django.core.cache import caches
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, JsonResponse
from kombu.exceptions import KombuError
from redis import RedisError

from stoa_cp.db.replica import reporting_database
from stoa_cp.db.time_outs import TIME_OUTS
from stoa_cp.jobs.broker import PUBLISH_SECONDS, QUEUE, publishing_options, uses_own_database

# Everybody may send this probe, and its checks cost 12 ms of CPU; an answer from the last result costs 0.7 ms. Load
# balancers probe every 5 to 10 s, so that a result of this age delays none of them.
FRESH_SECONDS = 2.0
# A check that takes longer than this waits for something that does not answer: the process is not ready.
LONGEST_CHECK_SECONDS = 5.0


def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 while the process answers at all. Checks nothing: a restart of the process repairs no database."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 if this process can serve, else 503; name the state of each component. The answer may be 2 s old.

    ``{"status": "degraded", "components": {"database": "ok", "broker": "unavailable", …}}`` is a 200: calls are
    answered. A 503 would make a load balancer take all web processes out because the broker is away.
    """
    components = readiness.components()
    is_ready = all(components[name] == "ok" for name in NEEDED & components.keys())
    is_whole = all(state == "ok" for state in components.values())
    status = "unavailable" if not is_ready else "ok" if is_whole else "degraded"
    return JsonResponse({"status": status, "components": dict(components)}, status=200 if is_ready else 503)


@dataclass(frozen=True, slots=True)
class Checked:
    """The states of all components, and when their check began (monotonic clock)."""

    components: Mapping[str, str]
    began_at: float

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self.began_at


class Readiness:
    """The last result of this process's checks. One thread at a time checks; the others go on with that result.

    They do not wait: a database that does not answer would hold all threads of the server, one probe for each.
    """

    def __init__(self) -> None:
        self._last: Checked | None = None
        self._checking = Lock()

    def components(self) -> Mapping[str, str]:
        """Return the state of each component: ``ok``, ``unavailable`` or one of ``DEFECTS``."""
        if self._is_fresh():
            return self._states()
        # The first check of a process has no earlier result, and its callers wait for it.
        patience = 0.0 if self._last else LONGEST_CHECK_SECONDS
        if not self._checking.acquire(timeout=patience):
            return self._states()
        try:
            if not self._is_fresh():  # another thread may have checked while this one waited
                began_at = time.monotonic()
                self._last = Checked({name: _state(name, check) for name, check in CHECKS.items()}, began_at)
        finally:
            self._checking.release()
        return self._states()

    def forget(self) -> None:
        """Drop the last result, as a restart does."""
        self._last = None

    def _is_fresh(self) -> bool:
        return self._last is not None and self._last.age_seconds < FRESH_SECONDS

    def _states(self) -> Mapping[str, str]:
        last = self._last
        if last is None or last.age_seconds > FRESH_SECONDS + LONGEST_CHECK_SECONDS:
            return dict.fromkeys(CHECKS, "unavailable")
        return last.components


readiness = Readiness()


def _state(name: str, check: Callable[[], bool]) -> str:
    try:
        return "ok" if check() else DEFECTS.get(name, "unavailable")
    except (DatabaseError, RedisError, CeleryError, KombuError, OSError):
        return "unavailable"


def _database_answers() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True


def _counters_answer() -> bool:
    # Any key: a miss is an answer, too.
    caches["counters"].get("readyz")
    return True


def _broker_answers() -> bool:
    if uses_own_database(current_app.conf.broker_url):
        # Over the connection that there is: one more for each probe would be one more than the process may have.
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pgmq.meta WHERE queue_name = %s", [QUEUE])
            return cursor.fetchone() is not None
    options = publishing_options(current_app.conf.broker_url)
    with current_app.connection_for_write(connect_timeout=PUBLISH_SECONDS, transport_options=options) as broker:
        # Kombu retries for ever by default, and a probe must answer.
        broker.ensure_connection(max_retries=1, timeout=1)
    return True


def _migrations_are_applied() -> bool:
    return _migrations_of_this_release() <= MigrationRecorder(connection).applied_migrations().keys()


@lru_cache  # a release does not change while its process runs; reading its files takes 4 to 40 ms
def _migrations_of_this_release() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None).graph.nodes)


def _replica_answers() -> bool:
    # Under the alias that the reports use. A primary that stands in for a replica does not count.
    return reporting_database() == settings.STOA_METRICS_DATABASE


def _sessions_have_time_outs() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT bool_and(setting <> '0') FROM pg_settings WHERE name = ANY(%s)", [list(TIME_OUTS)])
        return bool(cursor.fetchone()[0])


CHECKS: dict[str, Callable[[], bool]] = {
    "database": _database_answers,
    "counters": _counters_answer,
    "broker": _broker_answers,
    "migrations": _migrations_are_applied,
}
if settings.STOA_METRICS_DATABASE != DEFAULT_DB_ALIAS:
    CHECKS["replica"] = _replica_answers
if settings.STOA_DB_POOLED:
    # Each connection sets them, but a pooler does not pass that on: the role must have them.
    CHECKS["time_outs"] = _sessions_have_time_outs
# Without these no call is answered. Without counters calls pass unlimited, without the broker beat and `manage.py`
# find the work, without the replica the primary answers.
NEEDED = frozenset({"database", "migrations"})
# The state of a component that answers, and is not as it should be.
DEFECTS: Mapping[str, str] = {"migrations": "behind", "time_outs": "missing"}
