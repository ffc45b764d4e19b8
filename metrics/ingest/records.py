"""Judges traffic records: what a record must hold, when it may have been, and why one is refused."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from msgspec import UNSET, Meta, Struct, UnsetType

from metrics.histograms.sketch import MAX_LATENCY_MS

REQUIRED = frozenset({"timestamp", "api_id", "status", "latency_ms"})
FIELDS = REQUIRED | {"subscription_id", "bytes"}
# RFC 3339 §5.6; datetime.fromisoformat alone would also take week dates and times without an offset.
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DIGITS_TO_ZERO = str.maketrans("123456789", "000000000")

MAX_AGE = timedelta(hours=48)
MAX_AHEAD = timedelta(minutes=5)  # clocks of gateways differ
STATUSES = (100, 599)  # RFC 9110 §15
MAX_RESPONSE_BYTES = 2**63 - 1


class Record(Struct, forbid_unknown_fields=True, gc=False):
    """A record that holds what it must. Its time and its ids are still to be judged.

    A batch is decoded into these in C. The bounds are those of ``_read_fields``, which can say what is wrong.
    """

    timestamp: str
    api_id: str
    status: Annotated[int, Meta(ge=STATUSES[0], le=STATUSES[1])]
    latency_ms: Annotated[float, Meta(ge=0, le=MAX_LATENCY_MS)]
    subscription_id: str | UnsetType | None = UNSET
    bytes: Annotated[int, Meta(ge=0, le=MAX_RESPONSE_BYTES)] | UnsetType = UNSET


class RecordRefused(Exception):
    """One record cannot be counted; its batch goes on without it."""

    def __init__(self, code: str, message: str | Promise) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


class RecordValidator:
    """Judges the records of one batch by the clock of its arrival. ``max_age`` None lets any past time through."""

    def __init__(self, now: datetime, max_age: timedelta | None = MAX_AGE) -> None:
        self._earliest = (now - max_age).timestamp() if max_age else 0.0
        self._latest = (now + MAX_AHEAD).timestamp()

    def read(self, value: Any) -> tuple[Record, float]:
        """Return the record and its time in seconds since 1970. Raises RecordRefused. Ids are not looked up here."""
        record = value if isinstance(value, Record) else _read_fields(value)
        at = _parse_time(record.timestamp)
        if at < self._earliest:
            raise RecordRefused("too_old", _("Records older than 48 hours are not counted any more."))
        if at > self._latest:
            raise RecordRefused("in_the_future", _("This time is more than 5 minutes ahead of our clock."))
        return record, at

    def times_of(self, records: Sequence[Record]) -> list[float] | None:
        """Return what ``read`` would, for all of them at once; None if one of them is to be refused."""
        texts = [record.timestamp for record in records]
        # Without their digits, ten thousand times are spelled in one way or two.
        shapes = set("\n".join(texts).translate(_DIGITS_TO_ZERO).split("\n"))
        if not all(map(TIMESTAMP.fullmatch, shapes)):
            return None
        try:
            # Raises for a lower-case z, which is left to `read`, and for a line break that hid in one of them above.
            times = [datetime.fromisoformat(text).timestamp() for text in texts]
        except ValueError:
            return None
        return times if self._earliest <= min(times) and max(times) <= self._latest else None


def _read_fields(value: Any) -> Record:
    """Return the record that a JSON value spells, whatever its timestamp is. Raises RecordRefused."""
    if not isinstance(value, dict):
        raise RecordRefused("invalid", _("A record is one JSON object without repeated fields."))
    if not REQUIRED <= value.keys() <= FIELDS:
        raise _misshapen(value)
    api_id, subscription_id = value["api_id"], value.get("subscription_id")
    status, latency_ms, size = value["status"], value["latency_ms"], value.get("bytes", 0)
    if not isinstance(api_id, str):
        raise RecordRefused("invalid", _("api_id must be an id."))
    if not (subscription_id is None or isinstance(subscription_id, str)):
        raise RecordRefused("invalid", _("subscription_id must be an id or null."))
    # By `type`, because true is an int to isinstance. No comparison lets NaN through.
    if not (type(status) is int and STATUSES[0] <= status <= STATUSES[1]):
        raise RecordRefused("out_of_range", _("status must be a whole number from 100 to 599."))
    if not (type(latency_ms) in (int, float) and 0 <= latency_ms <= MAX_LATENCY_MS):
        raise RecordRefused("out_of_range", _("latency_ms must be a number from 0 to 86,400,000."))
    if not (type(size) is int and 0 <= size <= MAX_RESPONSE_BYTES):
        raise RecordRefused("out_of_range", _("bytes must be a whole number from 0."))
    return Record(value["timestamp"], api_id, status, latency_ms, subscription_id, size)


def _misshapen(record: dict[str, Any]) -> RecordRefused:
    unknown, missing = record.keys() - FIELDS, REQUIRED - record.keys()
    if unknown:
        return RecordRefused("unknown_field", _("Unknown: %s.") % ", ".join(sorted(unknown))[:200])
    return RecordRefused("required", _("Missing: %s.") % ", ".join(sorted(missing)))


def _parse_time(text: Any) -> float:
    try:
        is_spelled_right = isinstance(text, str) and TIMESTAMP.fullmatch(text)
        moment = datetime.fromisoformat(text.upper()) if is_spelled_right else None
    except ValueError:
        moment = None
    if moment is None:
        raise RecordRefused("invalid", _("timestamp must be an RFC 3339 time with an offset."))
    return moment.timestamp()
