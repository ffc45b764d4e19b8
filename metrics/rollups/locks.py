"""The advisory lock that makes a transaction the only writer of rollups and of their partitions."""

from django.db import connection

# An arbitrary number that no other advisory lock of this database uses.
#
# Row locks alone would also keep two folds apart, because each fold first updates the rows of its series. But the
# second fold would wait for the first one until lock_timeout, and that is an error. And a row or a partition that does
# not exist yet cannot be locked.
ROLLUP_LOCK = 7_862_002


def lock_rollups() -> None:
    """Become the only writer of rollups until the transaction ends. Waits at most ``lock_timeout``, then raises."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ROLLUP_LOCK])


def try_lock_rollups() -> bool:
    """Become the only writer of rollups until the transaction ends. Return False if another transaction is."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [ROLLUP_LOCK])
        (is_locked,) = cursor.fetchone()
    return bool(is_locked)
