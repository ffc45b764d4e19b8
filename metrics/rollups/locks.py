"""One lock for whoever rewrites rollups or cuts their tables."""

from django.db import connection

# Any constant of our own. Rows alone would keep two folds apart too (each updates its series first), but the second
# would queue behind the first until lock_timeout, and rows that do not exist yet, like partitions, cannot be locked.
ROLLUP_LOCK = 7_862_002


def hold_rollups() -> None:
    """Be the only writer of rollups until the transaction ends. Waits as long as ``lock_timeout`` allows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ROLLUP_LOCK])


def try_to_hold_rollups() -> bool:
    """Become the only writer of rollups until the transaction ends, unless there is one already."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [ROLLUP_LOCK])
        (is_held,) = cursor.fetchone()
    return bool(is_held)
