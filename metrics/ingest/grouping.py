"""Takes a batch apart: which of its records are calls that count, and which of them belong together."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise
from msgspec import UNSET

from metrics.ingest.records import Record, RecordRefused, RecordValidator

MINUTE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a record was not counted; ``index`` counts the batch's records from 0."""

    index: int
    code: str
    message: str | Promise


@dataclass(frozen=True, slots=True)
class ParsedRecords:
    """What a batch holds, in columns: one object for each of ten thousand calls would double their time.

    ``times`` are in seconds since 1970; ``indices`` are the places in the batch.
    """

    records: list[Record] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)


# (whole minutes since 1970, API id, subscription id) → places in the columns
Groups = dict[tuple[float, str, str | None], list[int]]


def validate_records(values: Sequence[Any], judge: RecordValidator) -> tuple[ParsedRecords, list[Refusal]]:
    """Return the records that can be counted if what they name exists, and why the others cannot."""
    times = judge.times_of(values) if all(isinstance(value, Record) for value in values) else None
    if times is not None:
        return ParsedRecords(list(values), times, list(range(len(values)))), []
    calls, refused = ParsedRecords(), []
    for index, value in enumerate(values):
        try:
            record, at = judge.read(value)
        except RecordRefused as refusal:
            refused.append(Refusal(index, refusal.code, refusal.message))
        else:
            calls.records.append(record)
            calls.times.append(at)
            calls.indices.append(index)
    return calls, refused


def group_calls(calls: ParsedRecords) -> Groups:
    """Put calls of the same minute, API and subscription together. A field left out is as good as null."""
    groups: Groups = defaultdict(list)
    for place, (record, at) in enumerate(zip(calls.records, calls.times, strict=True)):
        subscription_id = None if record.subscription_id is UNSET else record.subscription_id
        groups[at // MINUTE_SECONDS, record.api_id, subscription_id].append(place)
    return groups
