"""Makes the partitions of the rollup tables before they are needed, and drops them after the retention period."""

from collections.abc import Iterable
from datetime import datetime

from django.db import connection, transaction
from psycopg import sql

from metrics.rollups.locks import hold_rollups
from metrics.rollups.resolutions import LEVELS, Resolution

# Beat asks every hour; two partitions ahead outlast a night without beat even for the minutes.
PARTITIONS_AHEAD = 2


def ensure_partitions(level: Resolution, buckets: Iterable[datetime]) -> None:
    """Make the partitions that these buckets fall into. Costs nothing to repeat."""
    with connection.cursor() as cursor:
        for start in sorted({level.partition_start(bucket) for bucket in buckets}):
            # Without a lock on the parent if the partition is there already.
            cursor.execute(
                sql.SQL("CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})").format(
                    sql.Identifier(f"{level.table}_{start.strftime(level.partition_format)}"),
                    sql.Identifier(level.table),
                    sql.Literal(start.isoformat()),
                    sql.Literal(level.next_partition(start).isoformat()),
                )
            )


@transaction.atomic
def maintain_partitions(now: datetime) -> list[str]:
    """Make the partitions of the near future, drop those past the retention, and return the names of the latter."""
    hold_rollups()
    return [name for level in LEVELS for name in _maintain(level, now)]


def _maintain(level: Resolution, now: datetime) -> list[str]:
    upcoming = [now]
    for _ahead in range(PARTITIONS_AHEAD):
        upcoming.append(level.next_partition(level.partition_start(upcoming[-1])))
    ensure_partitions(level, upcoming)
    expired = [name for name in partition_names(level) if start_of(level, name) < level.kept_since(now)]
    with connection.cursor() as cursor:
        for name in expired:
            cursor.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
    return expired


def partition_names(level: Resolution) -> list[str]:
    """Return the tables that make up the level's table, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE inhparent = %s::regclass ORDER BY relname",
            [level.table],
        )
        return [name for (name,) in cursor.fetchall()]


def start_of(level: Resolution, name: str) -> datetime:
    """Return when the partition of this name begins."""
    return level.parse_partition(name.removeprefix(f"{level.table}_"))
