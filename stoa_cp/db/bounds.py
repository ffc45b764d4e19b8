"""Bounds the number of rows that one tenant may have of a kind, and the rows that are read to count them."""

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from stoa_cp.domain.errors import DomainError


class LimitReached(DomainError):
    """The tenant has as many rows of this kind as it may have."""

    detail_code = "limit_reached"

    def __init__(self, limit: int) -> None:
        super().__init__(_("The tenant has %(limit)s of these already, and may not have more.") % {"limit": limit})


def check_below(limit: int, rows: QuerySet[Any]) -> None:
    """Raise LimitReached if there are ``limit`` rows or more.

    The caller holds the tenant's lock. Without it, two requests at once could both find one place left.
    """
    # Reads at most ``limit`` entries of an index, and stops there. A tenant far below its limit has few entries.
    if rows.order_by()[limit - 1 : limit].exists():
        raise LimitReached(limit)


def count_up_to(limit: int, rows: QuerySet[Any]) -> int:
    """Return how many rows there are; ``limit`` if there are more, of which PostgreSQL then reads none."""
    return rows.order_by().values("pk")[:limit].count()
