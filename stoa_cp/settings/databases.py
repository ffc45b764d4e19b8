"""The connections to PostgreSQL, from the variables that name them."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from stoa_cp.db.time_outs import TIME_OUTS, as_options
from stoa_cp.settings.environment import Environment

# A machine that vanishes sends nothing. The kernel would repeat what was sent for 15 minutes, and wait for an answer
# for 2 hours: a failover would hold all threads for that long. With these, 10.3 s. A server that is only slow still
# confirms what it receives.
NETWORK: Mapping[str, int] = {
    "connect_timeout": 3,  # seconds
    "tcp_user_timeout": 10_000,  # milliseconds until what was sent must be confirmed
    "keepalives_idle": 5,  # seconds of silence before the first probe
    "keepalives_interval": 5,  # seconds between two probes
}


def databases(env: Environment, *, is_pooled: bool) -> dict[str, dict[str, Any]]:
    """Return Django's ``DATABASES``: ``default``, and ``replica`` if DATABASE_REPLICA_URL is set.

    Parameters of the URLs go to libpq, such as ``?sslmode=verify-full&sslrootcert=/etc/ssl/db.pem``.
    """
    names = {"default": "DATABASE_URL"}
    if env.text("DATABASE_REPLICA_URL"):
        # Only metrics are read from the replica. All other reads must see the writes before them.
        names["replica"] = "DATABASE_REPLICA_URL"
    return {alias: _database(env, name, is_pooled=is_pooled) for alias, name in names.items()}


def process_name(arguments: Sequence[str], pid: int | None) -> str:
    """Return the name that this process has in ``pg_stat_activity``, such as ``stoa-web-4711``; no ``pid``: without it.

    ``arguments`` are those of ``sys.argv``: of granian, of celery or of ``manage.py``.
    """
    program = Path(arguments[0] if arguments else "")
    name = program.parent.name if program.stem == "__main__" else program.stem
    match name:
        case "granian":
            name = "web"
        case "celery":
            name = next((word for word in arguments if word in {"worker", "beat"}), name)
        case "manage":
            name = next(iter(arguments[1:]), name)
    return "-".join(["stoa", name.strip("-") or "python", *([] if pid is None else [str(pid)])])


def _database(env: Environment, name: str, *, is_pooled: bool) -> dict[str, Any]:
    entry = env.database(name, default="postgres://postgres@127.0.0.1:5432/stoa")
    parameters = entry.get("OPTIONS", {})
    if "options" in parameters:
        raise ImproperlyConfigured(f"{name} must not set options: the time-outs of this service stand there.")
    return entry | {
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": None,  # reconnecting for each request costs six times the request
        "CONN_HEALTH_CHECKS": True,  # a connection that is kept for ever outlives a restart of the database
        # A pooler gives each transaction another session, and a named cursor belongs to the one that opened it.
        "DISABLE_SERVER_SIDE_CURSORS": is_pooled,
        "OPTIONS": dict(NETWORK) | (_pooled() if is_pooled else _direct()) | parameters,
    }


def _direct() -> dict[str, Any]:
    return {
        # Used unless the URL or PGAPPNAME names the process otherwise.
        "fallback_application_name": process_name(sys.argv, os.getpid()),
        # plan_cache_mode and prepare_threshold are for stoa_cp.db.prepared alone: Django binds on the client, where
        # there is nothing to prepare. 0 prepares a statement the first time that it runs. Without a generic plan,
        # PostgreSQL plans a prepared statement with an array parameter each time: 1.2 ms instead of 0.25 ms.
        "options": f"{as_options(TIME_OUTS)} -c plan_cache_mode=force_generic_plan",
        "prepare_threshold": 0,
    }


def _pooled() -> dict[str, Any]:
    """Return what is left behind a transaction pooler.

    No ``options``: PgBouncer refuses them in the first packet. The time-outs are then the role's own; ``prepare
    --runtime-role`` sets them, and ``/readyz`` says if they are missing. No process number in the name: PgBouncer sends
    a statement more for each transaction whose name is not the one before.
    """
    return {"fallback_application_name": process_name(sys.argv, None), "prepare_threshold": None}
