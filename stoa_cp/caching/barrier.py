"""Delays the answer to a change until no process can answer from its caches as if the change had not happened.

::

    change commits ──► its triggers' notification ──► every holder of a lease invalidates its caches
         │                                                      ▲        │
         └─► an epoch is drawn and announced ───────────────────┘        └─► confirms the epoch
                  └─► waited for: until every holder has confirmed it, or its lease has run out

PostgreSQL delivers notifications in the order of commits, and the epoch is drawn after the change is committed. A
process that has received the epoch has therefore received the change. ``stoa_cp.caching.listener`` is the other side:
the holders of leases.
"""

from contextvars import ContextVar
from time import monotonic, sleep

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

# The channels of LISTEN. Payloads: the owner of the rows that changed, or nothing for all rows; the number of an epoch.
CHANGES, EPOCHS = "stoa_changes", "stoa_epochs"
# Holders confirm within milliseconds. A poll is one short statement on a table of a few rows.
POLL_SECONDS = 0.002

# The epoch is drawn once, in a subquery that PostgreSQL may not inline: the number announced is the number returned.
ANNOUNCE = f"""
WITH drawn AS MATERIALIZED (SELECT nextval('stoa_cp_epoch') AS epoch)
SELECT epoch, pg_notify('{EPOCHS}', epoch::text) FROM drawn
"""  # noqa: S608 - a constant
# Must run in a new snapshot after nextval. A lease that this query does not see was written later, so its owner will
# read our epoch.
IS_STILL_STALE = """
SELECT EXISTS (SELECT FROM stoa_cp_cachelease WHERE valid_until > clock_timestamp() AND confirmed_epoch < %s)
"""

# When the last wait after a commit began in this thread (monotonic seconds).
_last_wait_began_at: ContextVar[float] = ContextVar("last_wait_began_at", default=float("-inf"))


def wait_for_invalidation_on_commit() -> None:
    """After the commit, wait as ``wait_for_invalidation`` does; once, however often a transaction calls this.

    The hooks of a transaction all run after the same commit, so the first one's wait is good for the others, which
    would take two statements each. The hooks compare times. To look for an earlier hook in ``run_on_commit`` instead
    would depend on Django's private tuples; a flag would be wrong, because a savepoint that is rolled back takes its
    hooks with it and leaves the flag.
    """
    called_at = monotonic()

    def wait_unless_done() -> None:
        # A wait that began later than the call began after this commit: a thread's hooks run after its next commit.
        if _last_wait_began_at.get() <= called_at:
            _last_wait_began_at.set(monotonic())
            wait_for_invalidation()

    transaction.on_commit(wait_unless_done)


def wait_for_invalidation() -> None:
    """Wait until no process can answer from a state before this moment.

    Takes two short statements if no process holds a lease, the milliseconds of a notification if all holders listen,
    and at most the rest of a written lease (1.5 s, see WRITTEN_SECONDS) if one is frozen or cut off.
    """
    with connection.cursor() as cursor:
        cursor.execute(ANNOUNCE)
        epoch = cursor.fetchone()[0]
        while _is_still_stale(cursor, epoch):
            sleep(POLL_SECONDS)


def _is_still_stale(cursor: CursorWrapper, epoch: int) -> bool:
    cursor.execute(IS_STILL_STALE, [epoch])
    return bool(cursor.fetchone()[0])
