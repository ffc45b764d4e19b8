"""The session that prepares a release: alone, and with time-outs for changes of the schema.

Under the time-outs of the service an index on millions of rows would be given up after 10 s.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from time import sleep
from typing import Any

from django.db import DatabaseError, InterfaceError, connection
from django.db.backends.utils import CursorWrapper

# The number of a PostgreSQL advisory lock that nothing else in this database uses. Of two preparations at once, the
# second waits: both would apply the same migration, and one would die of it.
PREPARATION_LOCK = 7_862_003
POLL_SECONDS = 0.2

# statement_timeout: an index takes as long as the table is large. lock_timeout: ALTER TABLE waits for the statements
# before it, and all later ones wait behind it; after 2 s it makes room, and is tried again. idle: a preparation that is
# frozen inside a migration holds locks on tables.
TIME_OUTS: Mapping[str, str] = {
    "statement_timeout": "0",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "60s",
}
# What an interrupted CREATE INDEX CONCURRENTLY leaves behind: it is written with each row and never read, and its name
# is taken. "_cc": PostgreSQL's own of a REINDEX that may be running.
UNFINISHED_INDEXES = """
SELECT quote_ident(relname) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE NOT indisvalid AND relkind = 'i' AND relname !~ '_cc(new|old)[0-9]*$'
    AND relnamespace = current_schema()::regnamespace
"""


@contextmanager
def only_preparation() -> Iterator[None]:
    """Hold the preparation's lock, waiting for another one's end, with TIME_OUTS for the length of the block."""
    with connection.cursor() as cursor:
        for name, value in TIME_OUTS.items():
            cursor.execute("SELECT set_config(%s, %s, false)", [name, value])
        # Tried again and again instead of waited for: a statement that waits holds a snapshot, and CREATE INDEX
        # CONCURRENTLY of the first preparation waits for all older snapshots. PostgreSQL would end one as deadlocked.
        while not _is_locked(cursor):
            sleep(POLL_SECONDS)
    try:
        with connection.execute_wrapper(_let_concurrent_indexes_wait):
            yield
    finally:
        # If the session is broken, the lock and the settings have ended with it.
        with suppress(DatabaseError, InterfaceError), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [PREPARATION_LOCK])
            for name in TIME_OUTS:
                cursor.execute(f"RESET {name}")


def _is_locked(cursor: CursorWrapper) -> bool:
    cursor.execute("SELECT pg_try_advisory_lock(%s)", [PREPARATION_LOCK])
    return bool(cursor.fetchone()[0])


def drop_unfinished_indexes() -> list[str]:
    """Drop the indexes that an interrupted preparation left, so that their migrations run again; return their names."""
    with connection.cursor() as cursor:
        cursor.execute(UNFINISHED_INDEXES)
        names = [name for (name,) in cursor.fetchall()]
        for name in names:
            cursor.execute(f"DROP INDEX CONCURRENTLY {name}")
    return names


def _let_concurrent_indexes_wait(
    execute: Callable[..., Any],
    sql: str,
    parameters: Any,
    many: bool,  # noqa: FBT001 - the arguments are Django's
    context: dict[str, Any],
) -> Any:
    """Run a statement with CONCURRENTLY without a lock time-out.

    It waits for all older transactions and holds nothing that others need. Given up, it leaves an invalid index.
    """
    if "CONCURRENTLY" not in sql:
        return execute(sql, parameters, many, context)
    raw = context["connection"].connection  # another cursor than the one whose result is read next
    raw.execute("SET lock_timeout = 0")
    try:
        return execute(sql, parameters, many, context)
    finally:
        raw.execute(f"SET lock_timeout = '{TIME_OUTS['lock_timeout']}'")
