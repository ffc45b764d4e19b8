"""The calendar month (UTC) that a quota counts in, and what is left of a limit."""

from datetime import datetime, timedelta


def month_after(month: datetime) -> datetime:
    """Return the end of the calendar month that begins at ``month``."""
    return (month + timedelta(days=31)).replace(day=1)


def remaining(limit: int | None, used: int) -> int | None:
    """Return how many calls are left; None is unlimited. Not below 0: a limit may be lowered after calls were made."""
    return None if limit is None else max(0, limit - used)
