"""Deletes rows whose time is over, in batches."""

from typing import Any

from django.db.models import QuerySet

# Some milliseconds a statement. In one statement, a million rows took 2 to 5 s, with all their locks, and after 10 s it
# would be given up and start from the beginning, for ever.
BATCH_SIZE = 1_000


def delete_expired(rows: "QuerySet[Any]", *, batch_size: int | None = None) -> int:
    """Delete the rows that match, and return how many; each batch is a transaction of its own.

    An index should find the first rows of ``rows``. A row that stops matching meanwhile, because it was renewed, stays.
    """
    batch_size, deleted = batch_size or BATCH_SIZE, 0
    while True:
        keys = list(rows.values_list("pk", flat=True)[:batch_size])
        count, _by_model = rows.filter(pk__in=keys).delete()
        deleted += count
        if len(keys) < batch_size:
            return deleted
