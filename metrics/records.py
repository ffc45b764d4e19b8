"""Judges traffic records one by one: what a record must hold, and what it means."""

import re
from datetime import datetime, timedelta
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from metrics.sketches import MAX_LATENCY_MS, cell_of

REQUIRED = frozenset({"timestamp", "api_id", "status", "latency_ms"})
FIELDS = REQUIRED | {"subscription_id", "bytes"}
# RFC 3339 §5.6; datetime.fromisoformat alone would also take week dates and times without an offset.
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

MAX_AGE = timedelta(hours=48)
MAX_AHEAD = timedelta(minutes=5)  # clocks of gateways differ
MAX_RESPONSE_BYTES = 2**63 - 1


class RecordRefused(Exception):
    """One record cannot be counted; its batch goes on without it."""

    def __init__(self, code: str, message: str | Promise) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


# What a record says: when in seconds since 1970, API id, subscription id, cell of a sketch. A plain tuple, because
# one is made for every record of every batch: a frozen dataclass takes ten times as long.
Call = tuple[float, str, str | None, int]


class Judge:
    """Reads the records of one batch by the clock of its arrival. ``max_age`` None lets any past time through."""

    def __init__(self, now: datetime, max_age: timedelta | None = MAX_AGE) -> None:
        self._earliest = (now - max_age).timestamp() if max_age else 0.0
        self._latest = (now + MAX_AHEAD).timestamp()
        # Whole seconds repeat within a batch: each spelling is parsed once.
        self._times: dict[str, float] = {}

    def read(self, record: Any) -> Call:
        """Return what the record says. Raises RecordRefused. Ids are not looked up here."""
        if not isinstance(record, dict):
            raise RecordRefused("invalid", _("A record is one JSON object without repeated fields."))
        if not REQUIRED <= record.keys() <= FIELDS:
            raise _misshapen(record)
        api_id, subscription_id = record["api_id"], record.get("subscription_id")
        status, latency_ms, size = record["status"], record["latency_ms"], record.get("bytes", 0)
        if not isinstance(api_id, str):
            raise RecordRefused("invalid", _("api_id must be an id."))
        if not (subscription_id is None or isinstance(subscription_id, str)):
            raise RecordRefused("invalid", _("subscription_id must be an id or null."))
        # By `type`, because true is an int to isinstance. No comparison lets NaN through.
        if not (type(status) is int and 100 <= status <= 599):  # noqa: PLR2004 - RFC 9110 §15
            raise RecordRefused("out_of_range", _("status must be a whole number from 100 to 599."))
        if not (type(latency_ms) in (int, float) and 0 <= latency_ms <= MAX_LATENCY_MS):
            raise RecordRefused("out_of_range", _("latency_ms must be a number from 0 to 86,400,000."))
        if not (type(size) is int and 0 <= size <= MAX_RESPONSE_BYTES):
            raise RecordRefused("out_of_range", _("bytes must be a whole number from 0."))
        return self._time(record["timestamp"]), api_id, subscription_id, cell_of(status, round(latency_ms))

    def _time(self, text: Any) -> float:
        if not isinstance(text, str):
            raise RecordRefused("invalid", _("timestamp must be an RFC 3339 time with an offset."))
        at = self._times.get(text)
        if at is None:
            at = self._times[text] = _parse_time(text)
        if at < self._earliest:
            raise RecordRefused("too_old", _("Records older than 48 hours are not counted any more."))
        if at > self._latest:
            raise RecordRefused("in_the_future", _("This time is more than 5 minutes ahead of our clock."))
        return at


def _misshapen(record: dict[str, Any]) -> RecordRefused:
    unknown, missing = record.keys() - FIELDS, REQUIRED - record.keys()
    if unknown:
        return RecordRefused("unknown_field", _("Unknown: %s.") % ", ".join(sorted(unknown))[:200])
    return RecordRefused("required", _("Missing: %s.") % ", ".join(sorted(missing)))


def _parse_time(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text.upper()) if TIMESTAMP.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None:
        raise RecordRefused("invalid", _("timestamp must be an RFC 3339 time with an offset."))
    return moment.timestamp()
