"""Validates traffic records: which fields and bounds they have, how old they may be, and why one is refused."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from msgspec import UNSET, Meta, Struct, UnsetType

from apikeys.models import Mode
from metrics.histograms.sketch import MAX_LATENCY_MS

REQUIRED = frozenset({"timestamp", "api_id", "status", "latency_ms"})
FIELDS = REQUIRED | {"subscription_id", "bytes", "mode"}
# RFC 3339 §5.6. datetime.fromisoformat alone would also accept week dates and times without an offset.
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DIGITS_TO_ZERO = str.maketrans("123456789", "000000000")

# A gateway that was cut off for two days loses nothing. Less than the default retention of minutes (3 days), so that
# what is accepted is also counted by minute.
MAX_AGE = timedelta(hours=48)
MAX_AHEAD = timedelta(minutes=5)  # clocks of gateways differ
LOWEST_STATUS, HIGHEST_STATUS = 100, 599  # RFC 9110 §15
MAX_RESPONSE_BYTES = 2**63 - 1  # a signed 64-bit number; checked, but not stored


class Record(Struct, forbid_unknown_fields=True, gc=False):
    """A record whose fields have the right types and bounds. Its time and its ids are not validated yet.

    msgspec decodes batches into this class in C. The bounds are repeated in ``_read_fields``, which names what is
    wrong. ``gc=False``: records have no cycles, so the garbage collector need not track 10,000 of them.
    """

    timestamp: str
    api_id: str
    status: Annotated[int, Meta(ge=LOWEST_STATUS, le=HIGHEST_STATUS)]
    latency_ms: Annotated[float, Meta(ge=0, le=MAX_LATENCY_MS)]
    subscription_id: str | UnsetType | None = UNSET
    bytes: Annotated[int, Meta(ge=0, le=MAX_RESPONSE_BYTES)] | UnsetType = UNSET
    mode: Literal["live", "test"] | UnsetType = UNSET


class RecordRefused(Exception):
    """One record cannot be counted; the rest of its batch can."""

    def __init__(self, code: str, message: str | Promise) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


class RecordValidator:
    """Validates the records of one batch against the time of its arrival.

    ``max_age`` None accepts any past time.
    """

    def __init__(self, now: datetime, max_age: timedelta | None = MAX_AGE) -> None:
        self._earliest = (now - max_age).timestamp() if max_age else 0.0
        self._latest = (now + MAX_AHEAD).timestamp()

    def read(self, value: Any) -> tuple[Record, float]:
        """Return the record and its time in seconds since 1970. Ids are not looked up.

        Raises RecordRefused if the record cannot be counted.
        """
        record = value if isinstance(value, Record) else _read_fields(value)
        at = _parse_time(record.timestamp)
        if at < self._earliest:
            sentence = _("Records older than %(hours)d hours are not counted any more.")
            raise RecordRefused("too_old", sentence % {"hours": MAX_AGE // timedelta(hours=1)})
        if at > self._latest:
            sentence = _("This time is more than %(minutes)d minutes ahead of our clock.")
            raise RecordRefused("in_the_future", sentence % {"minutes": MAX_AHEAD // timedelta(minutes=1)})
        return record, at

    def times_of(self, records: Sequence[Record]) -> list[float] | None:
        """Return the times of all records, in seconds since 1970; None if ``read`` would refuse one of them.

        Faster than ``read`` for each record: the regular expression runs once for each spelling, not for each time.
        """
        texts = [record.timestamp for record in records]
        # With every digit replaced by 0, the times of one gateway become one or two different texts.
        shapes = set("\n".join(texts).translate(_DIGITS_TO_ZERO).split("\n"))
        if not all(map(TIMESTAMP.fullmatch, shapes)):
            return None
        try:
            # Raises ValueError for a time that contains a line feed, which the split above has hidden. Also for a
            # lower-case z, which RFC 3339 allows; `read` accepts it.
            times = [datetime.fromisoformat(text).timestamp() for text in texts]
        except ValueError:
            return None
        return times if self._earliest <= min(times) and max(times) <= self._latest else None


def _read_fields(value: Any) -> Record:
    """Return the record for a JSON value, whatever its timestamp is. Raises RecordRefused."""
    if not isinstance(value, dict):
        raise RecordRefused("invalid", _("A record is one JSON object without repeated fields."))
    if not REQUIRED <= value.keys() <= FIELDS:
        raise _wrong_fields(value)
    api_id, subscription_id = value["api_id"], value.get("subscription_id")
    status, latency_ms, size = value["status"], value["latency_ms"], value.get("bytes", 0)
    mode = value.get("mode", Mode.LIVE.value)
    if not isinstance(api_id, str):
        raise RecordRefused("invalid", _("api_id must be an id."))
    if not (subscription_id is None or isinstance(subscription_id, str)):
        raise RecordRefused("invalid", _("subscription_id must be an id or null."))
    # `type`, because isinstance(True, int) is true. NaN fails every comparison.
    if not (type(status) is int and LOWEST_STATUS <= status <= HIGHEST_STATUS):
        sentence = _("status must be a whole number from %(lowest)d to %(highest)d.")
        raise RecordRefused("out_of_range", sentence % {"lowest": LOWEST_STATUS, "highest": HIGHEST_STATUS})
    if not (type(latency_ms) in (int, float) and 0 <= latency_ms <= MAX_LATENCY_MS):
        sentence = _("latency_ms must be a number from 0 to %(highest)s.")
        highest = number_format(MAX_LATENCY_MS, force_grouping=True)
        raise RecordRefused("out_of_range", sentence % {"highest": highest})
    if not (type(size) is int and 0 <= size <= MAX_RESPONSE_BYTES):
        raise RecordRefused("out_of_range", _("bytes must be a whole number from 0."))
    if mode not in Mode.values:
        raise RecordRefused("invalid", _("mode must be live or test."))
    return Record(value["timestamp"], api_id, status, latency_ms, subscription_id, size, mode)


def _wrong_fields(record: dict[str, Any]) -> RecordRefused:
    unknown, missing = record.keys() - FIELDS, REQUIRED - record.keys()
    if unknown:
        # The client chose the names: 200 characters are enough to recognise them.
        return RecordRefused("unknown_field", _("Unknown: %s.") % ", ".join(sorted(unknown))[:200])
    return RecordRefused("required", _("Missing: %s.") % ", ".join(sorted(missing)))


def _parse_time(text: Any) -> float:
    try:
        is_rfc3339 = isinstance(text, str) and TIMESTAMP.fullmatch(text)
        moment = datetime.fromisoformat(text.upper()) if is_rfc3339 else None
    except ValueError:
        moment = None
    if moment is None:
        raise RecordRefused("invalid", _("timestamp must be an RFC 3339 time with an offset."))
    return moment.timestamp()
