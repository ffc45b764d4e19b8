"""Decoding a batch from bytes: JSON, NDJSON, gzip, and what is refused as a whole."""

import gzip
import json
from typing import Any

import pytest
from django.utils import timezone
from django.utils.translation import override

from metrics.ingest.batches import (
    MAX_BYTES,
    MAX_RECORDS,
    Batch,
    BatchTooLarge,
    UnsupportedEncoding,
    decode_body,
    read_json,
    read_ndjson,
)
from metrics.ingest.records import RecordRefused, RecordValidator
from stoa_cp.domain.errors import InvalidField


def lines(*records: Any) -> bytes:
    return b"\n".join(json.dumps(record).encode() for record in records)


def test_a_document_becomes_a_batch() -> None:
    assert read_json(b'{"batch_id": "b-1", "records": [{"status": 200}]}') == Batch("b-1", [{"status": 200}])


def test_lines_become_a_batch() -> None:
    assert read_ndjson(b'{"status": 200}\r\n\n{"status": 404}\n', "b-1").records == [{"status": 200}, {"status": 404}]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"batch_id": "b-1"}',
        b'{"records": []}',
        b'{"batch_id": 1, "records": []}',
        b'{"batch_id": "b-1", "records": {}}',
        b'{"batch_id": "b-1", "records": [], "more": 1}',
        b'{"batch_id": "b-1", "batch_id": "b-2", "records": []}',
        b'{"batch_id": "", "records": []}',
        b'{"batch_id": "b 1", "records": []}',
        b'{"batch_id": "\\ud800", "records": []}',
        b'{"batch_id": "' + b"b" * 256 + b'", "records": []}',
        b'{"batch_id": "b-1", "records": [' + b"[" * 100_000,
        b'{"batch_id": "b-1", "records": [' + b"9" * 5_000 + b"]}",
    ],
    ids=lambda body: body[:40],
)
def test_what_is_no_batch_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(InvalidField):
        read_json(body)


@pytest.mark.parametrize("batch_id", ["", " ", "b\n", "é", "b" * 256])
def test_lines_need_a_batch_id(batch_id: str) -> None:
    with pytest.raises(InvalidField):
        read_ndjson(b"{}", batch_id)


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b'{"status": 200} {"status": 200}',
        b'{"status": 200, "status": 500}',
        b"\xff",
        b"[" * 100_000,
        b"9" * 5_000,
        b'{"status": {"a": 1, "a": 2}}',
    ],
    ids=lambda line: line[:40],
)
def test_a_line_that_is_no_record_costs_only_itself(line: bytes) -> None:
    batch = read_ndjson(b'{"status": 200}\n' + line + b'\n{"status": 201}', "b-1")

    assert [batch.records[0], batch.records[2]] == [{"status": 200}, {"status": 201}]
    with pytest.raises(RecordRefused):
        RecordValidator(timezone.now()).read(batch.records[1])


def test_not_a_number_is_left_to_the_validator() -> None:
    (record,) = read_json(b'{"batch_id": "b-1", "records": [{"latency_ms": NaN}]}').records
    assert record["latency_ms"] != record["latency_ms"]


def test_ten_thousand_records_are_the_most() -> None:
    assert len(read_ndjson(lines(*[{}] * MAX_RECORDS), "b-1").records) == MAX_RECORDS
    with pytest.raises(InvalidField, match="10,000"):
        read_ndjson(lines(*[{}] * (MAX_RECORDS + 1)), "b-1")
    with pytest.raises(InvalidField, match="10,000"):
        read_json(json.dumps({"batch_id": "b-1", "records": [{}] * (MAX_RECORDS + 1)}).encode())


def test_limits_in_messages_are_spelled_as_the_language_spells_numbers() -> None:
    with override("fr"), pytest.raises(InvalidField, match="10\xa0000 enregistrements"):
        read_json(json.dumps({"batch_id": "b-1", "records": [{}] * (MAX_RECORDS + 1)}).encode())


def test_eight_million_empty_lines_are_not_even_split() -> None:
    with pytest.raises(InvalidField, match="10,000"):
        read_ndjson(b"\n" * MAX_BYTES, "b-1")


def test_gzip_is_undone() -> None:
    assert decode_body(gzip.compress(b"{}"), "gzip") == b"{}"
    assert decode_body(gzip.compress(b"{}\n") + gzip.compress(b"{}"), "gzip") == b"{}\n{}"


@pytest.mark.parametrize(
    "body",
    [gzip.compress(b"{}" * 500)[:-9], b"\x1f\x8b nonsense", gzip.compress(b"{}")[:-4] + b"zzzz", b"{}"],
    ids=["cut", "no header", "wrong length", "not gzip"],
)
def test_damaged_gzip_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidField):
        decode_body(body, "gzip")


def test_a_zip_bomb_is_refused_before_it_is_inflated() -> None:
    bomb = gzip.compress(b"\0" * (16 * MAX_BYTES))
    assert len(bomb) < MAX_BYTES / 32

    with pytest.raises(BatchTooLarge):
        decode_body(bomb, "gzip")


def test_a_body_over_eight_mebibytes_is_refused() -> None:
    with pytest.raises(BatchTooLarge):
        decode_body(b" " * (MAX_BYTES + 1), "")


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip"])
def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(UnsupportedEncoding):
        decode_body(b"", encoding)
