"""The connections to PostgreSQL, from the variables that name them."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from stoa_cp.settings.environment import Environment


def databases(env: Environment, *, is_pooled: bool) -> dict[str, dict[str, Any]]:
    """Return Django's ``DATABASES``: ``default``, and ``replica`` if DATABASE_REPLICA_URL is set.

    Parameters of the URLs go to libpq, such as ``?sslmode=verify-full&sslrootcert=/etc/ssl/db.pem``.
    """
    names = {"default": "DATABASE_URL"}
    if env.text("DATABASE_REPLICA_URL"):
        # Only metrics are read from the replica. All other reads must see the writes before them.
        names["replica"] = "DATABASE_REPLICA_URL"
    return {alias: _database(env, name, is_pooled=is_pooled) for alias, name in names.items()}


def _database(env: Environment, name: str, *, is_pooled: bool) -> dict[str, Any]:
    entry = env.database(name, default="postgres://postgres@127.0.0.1:5432/stoa")
    parameters = entry.get("OPTIONS", {})
    if "options" in parameters:
        raise ImproperlyConfigured(f"{name} must not set options: the time-outs of this service stand there.")
    return entry | {
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": None,  # reconnecting for each request costs six times the request
        "CONN_HEALTH_CHECKS": True,  # a connection that is kept for ever outlives a restart of the database
        "OPTIONS": {
            "connect_timeout": 3,  # seconds
            # lock_timeout, statement_timeout: a stuck row makes an error after seconds, instead of a queue of all
            # threads.
            # idle_in_transaction_session_timeout: a worker that is frozen inside a transaction loses it after 10 s, and
            # others go on with its rows.
            # plan_cache_mode and prepare_threshold are for stoa_cp.db.prepared alone: Django binds on the client, where
            # there is nothing to prepare. 0 prepares a statement the first time that it runs. Without a generic plan,
            # PostgreSQL plans a prepared statement with an array parameter each time: 1.2 ms instead of 0.25 ms.
            "options": (
                "-c lock_timeout=2s -c statement_timeout=10s -c idle_in_transaction_session_timeout=10s"
                " -c plan_cache_mode=force_generic_plan"
            ),
            "prepare_threshold": None if is_pooled else 0,
        }
        | parameters,
    }
