"""The probes: whether the process answers, and whether all that it needs does."""

from collections.abc import Callable

from celery import current_app
from celery.exceptions import CeleryError
from django.core.cache import caches
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from kombu.exceptions import KombuError
from redis import RedisError

from stoa_cp.jobs.broker import PUBLISH_SECONDS, publishing_options


def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 while the process answers at all. Checks nothing: a restart of the process repairs no database."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when every component works, else 503, and name each: ``{"components": {"database": "ok", …}}``."""
    components = {name: _state(check) for name, check in CHECKS.items()}
    is_ready = all(state == "ok" for state in components.values())
    return JsonResponse(
        {"status": "ok" if is_ready else "unavailable", "components": components},
        status=200 if is_ready else 503,
    )


def _state(check: Callable[[], bool]) -> str:
    try:
        return "ok" if check() else "behind"
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
    options = publishing_options(current_app.conf.broker_url)
    with current_app.connection_for_write(connect_timeout=PUBLISH_SECONDS, transport_options=options) as broker:
        # Kombu retries for ever by default, and a probe must answer.
        broker.ensure_connection(max_retries=1, timeout=1)
    return True


def _migrations_are_applied() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


CHECKS: dict[str, Callable[[], bool]] = {
    "database": _database_answers,
    "counters": _counters_answer,
    "broker": _broker_answers,
    "migrations": _migrations_are_applied,
}
