"""Reads a batch of traffic records from the bytes that a gateway sent, within bounds.

What is in order is decoded in C, in a quarter of the time. Anything else is read again in Python, which can tell good
records from bad ones.
"""

import gzip
import json
import re
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import msgspec
from django.utils.translation import gettext as _

from metrics.ingest.records import FIELDS, Record
from stoa_cp.domain.errors import DomainError, ErrorCode, InvalidField

MAX_RECORDS = 10_000
# After inflation; 10,000 records of the widest spelling are about 3 MiB.
MAX_BYTES = 8 * 2**20
BATCH_ID = re.compile(r"[\x21-\x7e]{1,255}")


class BatchTooLarge(DomainError):
    """The body, or what it inflates to, is over the limit."""

    code = ErrorCode.VALIDATION_ERROR
    detail_code = "too_large"


class UnsupportedEncoding(DomainError):
    """The body is compressed in a way that we do not read."""

    code = ErrorCode.VALIDATION_ERROR
    detail_code = "unsupported_media_type"


@dataclass(frozen=True, slots=True)
class Batch:
    """What a gateway reports at once.

    ``records`` holds a Record each if all are in order, else JSON values as they came; each is judged on its own.
    """

    batch_id: str
    records: Sequence[Any]

    def __post_init__(self) -> None:
        if not BATCH_ID.fullmatch(self.batch_id):
            raise InvalidField("batch_id", _("This must be 1 to 255 visible ASCII characters."))
        if len(self.records) > MAX_RECORDS:
            raise InvalidField("records", _("A batch holds at most 10,000 records."), code="max_length")


class _NotARecord:
    """Stands in a batch where something cannot be read as one JSON object."""


NOT_A_RECORD = _NotARecord()


def decode_body(body: bytes, encoding: str) -> bytes:
    """Undo the Content-Encoding. Raises BatchTooLarge before more than the limit has been inflated."""
    if encoding in ("", "identity"):
        plain = body
    elif encoding == "gzip":
        plain = _inflate(body)
    else:
        raise UnsupportedEncoding(_("Only gzip is understood as a content encoding."), field="Content-Encoding")
    if len(plain) > MAX_BYTES:
        raise BatchTooLarge(_("A batch may take 8 MiB, also when inflated."))
    return plain


def _inflate(body: bytes) -> bytes:
    try:
        return gzip.GzipFile(fileobj=BytesIO(body)).read(MAX_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InvalidField("", _("The gzip data are damaged or end too early.")) from None


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    batch_id: str
    records: list[Record]


_decode_document = msgspec.json.Decoder(_Document).decode
_decode_record = msgspec.json.Decoder(Record).decode


def read_json(body: bytes) -> Batch:
    """Read ``{"batch_id", "records": […]}``. Raises InvalidField if the document cannot be used as a whole."""
    with suppress(ValueError):
        document = _decode_document(body)
        # The comma before "records" stands in for the one that the last record does not need.
        if body.count(b",") == _count_fields(document.records):
            return Batch(document.batch_id, document.records)
    return _read_document(body)


def read_ndjson(body: bytes, batch_id: str) -> Batch:
    """Read one record a line; blank lines do not count. A line that is no JSON costs only itself."""
    if body.count(b"\n") > 2 * MAX_RECORDS:
        raise InvalidField("records", _("A batch holds at most 10,000 records."), code="max_length")
    with suppress(ValueError):
        records = [_decode_record(line) for line in body.split(b"\n") if line and not line.isspace()]
        if body.count(b",") == _count_fields(records) - len(records):
            return Batch(batch_id, records)
    return Batch(batch_id, _read_lines(body))


def _count_fields(records: Sequence[Record]) -> int:
    """Return how many fields the records were sent with, unless one came twice: the decoder keeps the last.

    Each field is followed by a comma, but for a record's last one. With more commas than these, a field came twice, or
    a text has one in it.
    """
    without_subscription = [record.subscription_id for record in records].count(msgspec.UNSET)
    without_bytes = [record.bytes for record in records].count(msgspec.UNSET)
    return len(FIELDS) * len(records) - without_subscription - without_bytes


def _read_document(body: bytes) -> Batch:
    try:
        document = _decoder.decode(body.decode())
    except (ValueError, RecursionError):
        raise InvalidField("", _("The body is not JSON.")) from None
    if not isinstance(document, dict):
        raise InvalidField("", _("The body must be a JSON object without repeated fields."))
    for name in document.keys() - {"batch_id", "records"}:
        raise InvalidField(name[:100], _("This field does not exist."), code="unknown_field")
    for name, kind in (("batch_id", str), ("records", list)):
        if name not in document:
            raise InvalidField(name, _("This field is required."), code="required")
        if not isinstance(document[name], kind):
            raise InvalidField(name, _("This has the wrong type."))
    return Batch(document["batch_id"], document["records"])


def _read_lines(body: bytes) -> list[Any]:
    # Only ids and times are text here: what a damaged byte becomes is refused with its line.
    lines = body.decode(errors="replace").split("\n")
    return [_read_line(line) for line in lines if line and not line.isspace()]


def _read_line(line: str) -> Any:
    try:
        return _decoder.decode(line)
    except (ValueError, RecursionError):
        return NOT_A_RECORD


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _NotARecord:
    members = dict(pairs)
    return members if len(members) == len(pairs) else NOT_A_RECORD


# NaN and Infinity become numbers that no bound lets through, so that they cost one record and not the batch.
_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=float)
