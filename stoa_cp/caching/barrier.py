"""Lets a change be answered only when no process can answer from what was before it.

::

    change commits ──► its triggers' notification ──► every holder of a lease empties its caches
         │                                                      ▲        │
         └─► an epoch is drawn and announced ───────────────────┘        └─► confirms the epoch
                  └─► waited for: until every holder has confirmed it, or its lease has run out

Notifications arrive in the order of their commits, and the epoch is drawn after the change: whoever has heard of the
epoch has heard of the change. ``stoa_cp.caching.listener`` is the holders' side.
"""

from time import sleep

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

# The owner of the rows that changed, or nothing for all rows; and the number of an epoch.
CHANGES, EPOCHS = "stoa_changes", "stoa_epochs"
POLL_SECONDS = 0.002

ANNOUNCE = f"""
WITH drawn AS MATERIALIZED (SELECT nextval('stoa_cp_epoch') AS epoch)
SELECT epoch, pg_notify('{EPOCHS}', epoch::text) FROM drawn
"""  # noqa: S608 - a constant
# In a snapshot of its own, after the epoch was drawn: a lease that it does not see will be told of the epoch.
IS_STILL_STALE = """
SELECT EXISTS (SELECT FROM stoa_cp_cachelease WHERE valid_until > clock_timestamp() AND confirmed_epoch < %s)
"""


def wait_for_invalidation_on_commit() -> None:
    """After the commit, wait as ``wait_for_invalidation`` does; once, whatever the transaction changes."""
    if all(hook is not wait_for_invalidation for _savepoints, hook, *_ in connection.run_on_commit):
        transaction.on_commit(wait_for_invalidation)


def wait_for_invalidation() -> None:
    """Wait until no process can answer from a state before this moment.

    Takes two short statements where nobody holds a lease, the milliseconds of a notification where all listen, and
    the rest of a lease where one does not.
    """
    with connection.cursor() as cursor:
        cursor.execute(ANNOUNCE)
        epoch = cursor.fetchone()[0]
        while _is_still_stale(cursor, epoch):
            sleep(POLL_SECONDS)


def _is_still_stale(cursor: CursorWrapper, epoch: int) -> bool:
    cursor.execute(IS_STILL_STALE, [epoch])
    return bool(cursor.fetchone()[0])
