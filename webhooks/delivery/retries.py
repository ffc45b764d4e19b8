"""Decides when a failed delivery is tried again."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from random import uniform

from django.utils import timezone

MINUTE, HOUR = 60, 3600
# Before each of the ten attempts, counted from the one before: 75 h 35 m in all. It is the example schedule of Standard
# Webhooks: short delays for a restart of the receiver, then three days to repair it.
DELAYS_SECONDS = (0, 5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
# Deliveries that failed together, when their receiver was down, do not return together. Only added, never
# subtracted: the schedule is promised as the least delay.
MAX_JITTER = 0.2
# A receiver may request more time. The bound is the longest delay of the schedule, so that no header can postpone a
# delivery for ever.
MAX_RETRY_AFTER_SECONDS = 24 * HOUR
# Digits of a Retry-After that are read: the maximum has five, and a receiver may send thousands.
MAX_DIGITS = 9


def seconds_until_next(attempts_made: int, status: int | None, retry_after: str) -> float | None:
    """Return how long to wait after a failed attempt; None if it was the last.

    A receiver that responds with 429 or 503 may request more time (RFC 9110 §10.2.3), up to a day.
    """
    if attempts_made >= len(DELAYS_SECONDS):
        return None
    delay = DELAYS_SECONDS[attempts_made] * uniform(1, 1 + MAX_JITTER)  # noqa: S311 - jitter is no secret
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        delay = max(delay, min(_requested_seconds(retry_after), MAX_RETRY_AFTER_SECONDS))
    return delay


def _requested_seconds(retry_after: str) -> float:
    """Parse a ``Retry-After``, seconds or a date. Return 0 for anything else: a bad header is no reason to wait."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:MAX_DIGITS])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    return (_in_utc(moment) - timezone.now()).total_seconds()


def _in_utc(moment: datetime) -> datetime:
    # The parser returns no zone for the zone "-0000", which means UTC (RFC 5322 §3.3), and if there is none.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
