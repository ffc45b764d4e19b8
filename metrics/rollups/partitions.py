"""Creates the partitions of the rollup tables before they are needed, and drops them after the retention.

Two functions in the database do it, with the rights of the tables' owner: the service may run under a role that owns
nothing (``prepare --runtime-role``), and creating a table needs its owner.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db import connection, transaction

from metrics.rollups.locks import lock_rollups
from metrics.rollups.resolutions import RESOLUTIONS, Resolution

# Beat runs the maintenance every hour. For minutes, two partitions ahead are two days: they last through a night
# without beat. The fold creates a missing partition too, so this only keeps the DDL out of the fold.
PARTITIONS_AHEAD = 2


def ensure_partitions(resolution: Resolution, buckets: Iterable[datetime]) -> None:
    """Create the partitions that contain these buckets, unless they exist. The caller holds the rollup lock."""
    with connection.cursor() as cursor:
        for start in sorted({resolution.partition_start(bucket) for bucket in buckets}):
            cursor.execute("SELECT metrics_create_partition(%s, %s)", [resolution.table, start])


@transaction.atomic
def maintain_partitions(now: datetime) -> list[str]:
    """Create the next partitions and drop those past their retention. Return the names of the dropped ones."""
    # A fold that runs now might write into a partition that is about to be dropped.
    lock_rollups()
    return [name for resolution in RESOLUTIONS for name in _maintain(resolution, now)]


def _maintain(resolution: Resolution, now: datetime) -> list[str]:
    upcoming = [now]
    for _ahead in range(PARTITIONS_AHEAD):
        upcoming.append(resolution.next_partition(resolution.partition_start(upcoming[-1])))
    ensure_partitions(resolution, upcoming)
    kept_since = resolution.kept_since(now)
    expired = [name for name in partition_names(resolution) if resolution.start_of_partition(name) < kept_since]
    with connection.cursor() as cursor:
        for name in expired:
            cursor.execute(
                "SELECT metrics_drop_partition(%s, %s)", [resolution.table, resolution.start_of_partition(name)]
            )
    return expired


def partition_names(resolution: Resolution) -> list[str]:
    """Return the names of the resolution's partitions, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE inhparent = %s::regclass ORDER BY relname",
            [resolution.table],
        )
        return [name for (name,) in cursor.fetchall()]
