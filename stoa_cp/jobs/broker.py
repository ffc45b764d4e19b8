"""The message broker: PostgreSQL itself unless STOA_BROKER_URL names another, and how long each side waits for it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import psycopg
from celery import current_app
from django.conf import settings
from django.db import connection
from pgmq.install import get_embedded_install_sql, get_embedded_sql_version
from psycopg.conninfo import make_conninfo

from stoa_cp.db.expiry import BATCH_SIZE

QUEUE = "celery"

# A request waits this long for the broker, then goes on. The promise is a stall of 300 ms at most, with everything
# around it. With Celery's defaults a request was still blocked after 45 s by a broker that accepts and never answers.
PUBLISH_SECONDS = 0.2
# A worker has nothing else to do than to wait for its broker, and a TLS handshake over a far link may take long.
WORKER_SECONDS = 5.0

# The number of a PostgreSQL advisory lock; any that nothing else in this database uses will do. Of two processes that
# start at once, only one may change the schema of the queue.
INSTALLATION_LOCK = 7_862_001

# Longer than a restart of all workers takes; a worker that comes back should not begin with the sweeps of a week.
MESSAGE_HOURS = 1
# In the order of the key, so that it stops at the first that is young enough.
DELETE_MESSAGES = f"""
DELETE FROM pgmq.q_{QUEUE} WHERE msg_id IN (
    SELECT msg_id FROM (SELECT msg_id, enqueued_at FROM pgmq.q_{QUEUE} ORDER BY msg_id LIMIT %(count)s) AS oldest
    WHERE enqueued_at < now() - make_interval(hours => %(hours)s)
)
"""  # noqa: S608 - a constant

Options = dict[str, Any]
# libpq's names of what Django's DATABASES have.
LIBPQ_NAMES = {"host": "HOST", "port": "PORT", "dbname": "NAME", "user": "USER", "password": "PASSWORD"}


def broker_url(configured: str, database: Mapping[str, Any]) -> str:
    """Return ``configured``, or the address of the queue inside ``database`` (one entry of Django's DATABASES).

    The latter only identifies the queue: ``transport_options`` has what the driver is given, with every parameter.
    """
    if configured:
        return configured
    user, password = quote(database["USER"], safe=""), quote(database["PASSWORD"], safe="")
    # Of several hosts there may be several ports. kombu reads one.
    host, port = quote(database["HOST"] or "localhost", safe=""), str(database["PORT"] or 5432).partition(",")[0]
    return f"pgmq://{user}:{password}@{host}:{port}/{quote(database['NAME'], safe='')}"


def uses_postgres(url: str) -> bool:
    """Tell whether the broker at ``url`` is the queue that ``install_queue`` makes."""
    return urlsplit(url).scheme == "pgmq"


def transport_options(url: str, *, wait_seconds: float) -> Options:
    """Return kombu's options for a client that gives the broker at ``url`` up to ``wait_seconds`` for each answer."""
    match urlsplit(url).scheme:
        case "pgmq":
            is_ours = uses_own_database(url)
            return {
                "wait_time_seconds": 0,  # no long poll: LISTEN replaces it
                # LISTEN instead of polling: an idle worker sends no queries, and receives a message after about 10 ms.
                # A transaction pooler loses notifications. Behind one, a worker polls, once a second.
                "use_notify": not (is_ours and settings.STOA_DB_POOLED),
                "polling_interval": 1.0,
                "notify_throttle_interval_ms": 0,  # the default would hold notifications back for up to 250 ms
                "pool_timeout": wait_seconds,
                "conn_string": conninfo_of(settings.DATABASES["default"]) if is_ours else _conninfo(url),
            }
        case "redis" | "rediss":
            return {"socket_connect_timeout": wait_seconds, "socket_timeout": wait_seconds}
        case "amqp" | "amqps" | "pyamqp":
            return {"connect_timeout": wait_seconds, "read_timeout": wait_seconds, "write_timeout": wait_seconds}
        case _:
            return {}


def publishing_options(url: str) -> Options:
    """Return kombu's options for sending a task: one attempt, because the sweep finds work not announced."""
    return transport_options(url, wait_seconds=PUBLISH_SECONDS) | {"max_retries": 0}


def uses_own_database(url: str) -> bool:
    """Tell whether the broker at ``url`` is the queue in the service's own database."""
    return url == broker_url("", settings.DATABASES["default"])


def conninfo_of(database: Mapping[str, Any]) -> str:
    """Return an entry of Django's DATABASES as a connection string, with all parameters that libpq has."""
    named = {key: database[name] for key, name in LIBPQ_NAMES.items()}
    options = {name: value for name, value in database.get("OPTIONS", {}).items() if name != "prepare_threshold"}
    return make_conninfo(**{name: value for name, value in named.items() if value}, **options)


def _conninfo(url: str) -> str:
    """Return the address of a queue in another database as a connection string."""
    parts = urlsplit(url)
    parameters = {
        "host": parts.hostname,
        "port": str(parts.port or 5432),
        "dbname": parts.path.removeprefix("/"),
        "user": parts.username,
        "password": parts.password,
    }
    # kombu takes parameters of a URL for its own, except those that begin with ssl_: ssl_mode is libpq's sslmode.
    parameters |= {name.replace("ssl_", "ssl", 1): quote(value) for name, value in parse_qsl(parts.query)}
    name = settings.DATABASES["default"]["OPTIONS"]["fallback_application_name"]
    named = {name: unquote(value) for name, value in parameters.items() if value}
    return make_conninfo(fallback_application_name=name, connect_timeout=int(WORKER_SECONDS), **named)


def install_queue(connection: psycopg.Connection[Any]) -> str:
    """Create the queue's tables and functions unless they exist; return their version.

    A schema of an older release of this product is replaced, and its messages are lost: they only announce work that
    other tables hold. A schema made by ``CREATE EXTENSION pgmq`` is left as it is.
    """
    version = _our_version()
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [INSTALLATION_LOCK])
        installed = _installed_version(connection)
        if installed.startswith("stoa ") and installed != version:
            connection.execute("DROP SCHEMA pgmq CASCADE")
            installed = ""
        if not installed:
            connection.execute(get_embedded_install_sql(), prepare=False)
            connection.execute(f"COMMENT ON SCHEMA pgmq IS '{version}'")
            installed = version
        connection.execute("SELECT pgmq.create(%s)", [QUEUE])
        # 0: each message notifies. Here, because it replaces a trigger: see stoa_cp.jobs.transport.
        connection.execute("SELECT pgmq.enable_notify_insert(%s, 0)", [QUEUE])
    return installed


def is_queue_ready() -> bool:
    """Tell whether ``install_queue`` of this release would change nothing."""
    connection.ensure_connection()
    installed = _installed_version(connection.connection)
    return installed in {"extension", _our_version()}


def delete_old_messages() -> int:
    """Delete messages that no worker has taken for MESSAGE_HOURS, in batches; return how many.

    Beat sends 50,000 a day, also while all workers are away. They only announce work, which the rows have.
    """
    if not uses_own_database(current_app.conf.broker_url):
        return 0
    deleted = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(DELETE_MESSAGES, {"hours": MESSAGE_HOURS, "count": BATCH_SIZE})
            count: int = cursor.rowcount
            deleted += count
            if count < BATCH_SIZE:
                return deleted


def _our_version() -> str:
    return f"stoa {get_embedded_sql_version()}"


def _installed_version(connection: psycopg.Connection[Any]) -> str:
    """Return the comment of the schema (ours begin with "stoa"), "extension" without one, "" without a schema."""
    row = connection.execute(
        "SELECT coalesce(obj_description(oid, 'pg_namespace'), 'extension') FROM pg_namespace WHERE nspname = 'pgmq'"
    ).fetchone()
    return row[0] if row else ""
