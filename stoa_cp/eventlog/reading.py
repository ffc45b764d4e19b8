"""Reads a tenant's events of one type or one family, oldest first, by an index and never past others."""

from django.db import connection
from django.db.models import QuerySet

from stoa_cp.eventlog.models import Event

# The types of a family, from one probe of the index event_by_type for each: PostgreSQL's DISTINCT would read all of the
# family's events. The operators are those of the index's operator class, which compares bytes.
TYPES_OF_FAMILY = """
WITH RECURSIVE types (name) AS (
    (SELECT type FROM stoa_cp_event WHERE type ~>=~ %(first)s AND type ~<~ %(end)s ORDER BY type USING ~<~ LIMIT 1)
    UNION ALL
    SELECT (SELECT type FROM stoa_cp_event WHERE type ~>~ name AND type ~<~ %(end)s ORDER BY type USING ~<~ LIMIT 1)
    FROM types WHERE name IS NOT NULL
)
SELECT name FROM types WHERE name IS NOT NULL
"""


def read_events(events: QuerySet[Event], pattern: str, limit: int) -> list[Event]:
    """Return the first ``limit`` of the events by number, of the type, family (``subscription.*``) or all (``*``)."""
    if pattern == "*":
        return list(events.order_by("sequence")[:limit])
    types = types_of_family(pattern.removesuffix("*")) if pattern.endswith("*") else [pattern]
    # A page of each type, and of these the first ones. For "one of these types" PostgreSQL would either sort all of
    # them, or read the whole log up to the page's end.
    pages = [events.filter(type=name).order_by("sequence")[:limit] for name in types]
    if not pages:
        return []
    first, *others = pages
    return list(first.union(*others, all=True).order_by("sequence")[:limit] if others else first)


def types_of_family(prefix: str) -> list[str]:
    """Return the types in the logs, of any tenant, that begin with ``prefix``, such as ``subscription.``."""
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    with connection.cursor() as cursor:
        cursor.execute(TYPES_OF_FAMILY, {"first": prefix, "end": end})
        return [name for (name,) in cursor.fetchall()]
