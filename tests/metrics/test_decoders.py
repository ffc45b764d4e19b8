"""msgspec decodes a batch without faults, Python's json any other: both give the same result for any bytes."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from metrics.histograms.sketch import Sketch, cell_of
from metrics.ingest.batches import Batch, read_json, read_json_carefully, read_ndjson, read_ndjson_carefully
from metrics.ingest.grouping import Refusal, group_records, validate_records
from metrics.ingest.records import Record, RecordValidator
from stoa_cp.domain.errors import InvalidField

NOW = datetime(2025, 1, 9, 10, 0, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "timestamp": "2025-01-09T09:59:59.5Z",
    "api_id": "api-0123456789abcdef",
    "subscription_id": None,
    "status": 200,
    "latency_ms": 12.5,
    "bytes": 512,
}

# (name, value as JSON); a name may come twice
Fields = list[tuple[str, str]]

times = st.one_of(
    st.builds(
        lambda age, timespec, offset: (NOW - age).astimezone(offset).isoformat(timespec=timespec),
        st.timedeltas(timedelta(minutes=-6), timedelta(hours=49)),
        st.sampled_from(["seconds", "milliseconds", "microseconds"]),
        st.timezones().map(lambda zone: NOW.astimezone(zone).tzinfo),
    ),
    st.sampled_from(
        [
            "2025-01-09t09:59:59z",
            "2025-01-09 09:59:59-00:00",
            "2025-01-09T09:59:59.9999999Z",
            "2025-01-09T09:59:59.1234567890Z",
            "2025-01-09T09:59:59+0100",
            "2025-01-09T09:59:60Z",
            "2025-01-09T10:59:59+24:00",
            "2025-W02-4T09:59:59Z",
            "2025-02-30T09:59:59Z",
            "2025-01-09T09:59:59",
            "２025-01-09T09:59:59Z",
            "2025-01-09T09:59:59Z\n2025-01-09T09:59:59Z",
            "2025-01-09T09:59:59+01:00\n2025-01-09T09:59:59Z",
            "2025-01-09\n09:59:59Z",
            "0001-01-01T00:00:00+14:00",
        ]
    ),
)
ids = st.sampled_from(["api-0123456789abcdef", "sub-0123456789abcdef", "", "a,b", 'a"b', "é", "\x00", "\ud800"])
numbers = st.one_of(
    st.integers(90, 610),
    st.integers(),
    st.floats(0, 90_000_000),
    st.floats(),
    st.sampled_from([0.5, 98.5, -0.0, 2**63]),
)
literals = st.sampled_from(
    ["200.0", "2e2", "-0", "1e400", "9" * 400, "true", "null", "NaN", "Infinity", "[]", '{"a":1}']
)
values = st.one_of(st.one_of(times, ids, numbers).map(json.dumps), literals)
names = st.sampled_from([*GOOD, "more", "statu\\u0073"])
likely = {"timestamp": times, "api_id": ids, "subscription_id": ids, "status": numbers, "latency_ms": numbers}


@st.composite
def records(draw: st.DrawFn) -> str:
    """Return a record as JSON: mostly good, else with fields that are changed, left out, repeated or unknown."""
    fields: Fields = [(name, json.dumps(value)) for name, value in GOOD.items()]
    for name in draw(st.lists(st.sampled_from(list(likely)), max_size=2)):
        fields = [(known, draw(likely[name].map(json.dumps)) if known == name else value) for known, value in fields]
    for name in draw(st.sets(st.sampled_from(list(GOOD)), max_size=2)):
        fields = [field for field in fields if field[0] != name or draw(st.booleans())]
    fields += draw(st.one_of(st.just([]), st.just([]), st.lists(st.tuples(names, values), max_size=2)))
    return "{" + ", ".join(f'"{name}": {value}' for name, value in fields) + "}"


@st.composite
def damaged(draw: st.DrawFn, body: bytes) -> bytes:
    """Return the bytes with a few of them replaced by others."""
    fragments = st.sampled_from(
        [b"", b",", b'"', b"{", b"}", b"[", b"]", b" ", b"\n", b"\\", b"\x00", b"\xff", b"0", b"-"]
    )
    for fragment in draw(st.one_of(st.just([]), st.lists(fragments, min_size=1, max_size=3))):
        start = draw(st.integers(0, len(body)))
        body = body[:start] + fragment + body[start + draw(st.integers(0, 3)) :]
    return body


documents = (
    st.lists(records(), max_size=4)
    .map(lambda some: f'{{"batch_id": "b-1", "records": [{",".join(some)}]}}'.encode())
    .flatmap(damaged)
)
lines = st.lists(records(), max_size=4).map(lambda some: "\n".join(some).encode()).flatmap(damaged)


def outcome_of(read: Callable[[], Batch]) -> Any:
    """Return what a batch counts and refuses, or why it is refused as a whole."""
    try:
        batch = read()
    except InvalidField as refusal:
        return refusal.field, refusal.detail_code, str(refusal)
    parsed, refused = validate_records(batch.records, RecordValidator(NOW))
    groups = group_records(parsed)
    cells = [cell_of(record.status, record.latency_ms) for record in parsed.records]
    counted = {
        key: (Sketch.of(cells[row] for row in rows).to_bytes(), [parsed.times[row] for row in rows])
        for key, rows in groups.items()
    }
    return batch.batch_id, len(parsed.records), counted, [rendered(refusal) for refusal in refused]


def rendered(refusal: Refusal) -> tuple[int, str, str]:
    return refusal.index, refusal.code, str(refusal.message)


@given(documents)
@example(b'{"batch_id": "b-1", "records": []}')
def test_both_decoders_read_a_document_alike(body: bytes) -> None:
    assert outcome_of(partial(read_json, body)) == outcome_of(partial(read_json_carefully, body))


@given(lines)
@example(b"")
def test_both_decoders_read_lines_alike(body: bytes) -> None:
    assert outcome_of(partial(read_ndjson, body, "b-1")) == outcome_of(partial(read_ndjson_carefully, body, "b-1"))


def document(*parts: str) -> bytes:
    return f'{{"batch_id": "b-1", "records": [{",".join(parts)}]}}'.encode()


@pytest.mark.parametrize("left_out", [[], ["subscription_id"], ["bytes"], ["bytes", "subscription_id"]])
def test_a_batch_without_faults_is_read_by_msgspec(left_out: list[str]) -> None:
    text = json.dumps({name: value for name, value in GOOD.items() if name not in left_out})

    for batch in (read_json(document(text, text)), read_ndjson(f"{text}\n\n{text}\r\n".encode(), "b-1")):
        assert [type(record) for record in batch.records] == [Record, Record]
        assert validate_records(batch.records, RecordValidator(NOW))[1] == []


@pytest.mark.parametrize("again", ['"status": 500', '"status": 200', '"statu\\u0073": 500', '"bytes": 1'])
def test_a_field_that_comes_twice_costs_its_record(again: str) -> None:
    good = json.dumps(GOOD)
    bad = f"{good[:-1]}, {again}}}"

    for batch in (read_json(document(good, bad)), read_ndjson(f"{good}\n{bad}".encode(), "b-1")):
        parsed, refused = validate_records(batch.records, RecordValidator(NOW))
        assert parsed.indices == [0]
        assert [(refusal.index, refusal.code) for refusal in refused] == [(1, "invalid")]


def test_a_missing_field_does_not_make_up_for_one_that_comes_twice() -> None:
    twice = json.dumps(GOOD)[:-1] + ', "subscription_id": null}'
    without = json.dumps({name: value for name, value in GOOD.items() if name != "subscription_id"})

    _parsed, refused = validate_records(read_json(document(twice, without)).records, RecordValidator(NOW))

    assert [refusal.index for refusal in refused] == [0]
