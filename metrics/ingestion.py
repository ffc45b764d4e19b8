"""Counts a batch of traffic: record by record, exactly once, in one transaction."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from django.utils.functional import Promise

from metrics.batches import Batch
from metrics.directory import NO_SUCH_API, NO_SUCH_SUBSCRIPTION, Directory, look_up
from metrics.models import TrafficBatch
from metrics.records import MAX_AGE, Judge, RecordRefused
from metrics.sketches import Sketch
from stoa_cp.actors import Actor

MINUTE_SECONDS = 60
# Much longer than MAX_AGE: by then a repetition's records are too old to count anyway.
LEDGER_KEPT = timedelta(days=7)

CLAIM_BATCH = """
INSERT INTO metrics_trafficbatch (reporter, batch_id, accepted, refused, received_at)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (reporter, batch_id) DO NOTHING
"""
COPY_DELTAS = """
COPY metrics_trafficdelta
    (minute, last_request_at, tenant_id, api_id, subscription_id, requests, errors, sketch)
FROM STDIN
"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a record was not counted; ``index`` counts the batch's records from 0."""

    index: int
    code: str
    message: str | Promise


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch."""

    accepted: int = 0
    is_duplicate: bool = False
    refused: list[Refusal] = field(default_factory=list)


# A call's index in the batch, when it was in seconds since 1970, and its cell of a sketch.
Entry = tuple[int, float, int]
# (minutes since 1970, API id, subscription id) → calls
Groups = dict[tuple[int, str, str | None], list[Entry]]


def ingest_batch(batch: Batch, *, by: Actor, max_age: timedelta | None = MAX_AGE) -> Receipt:
    """Count the batch's good records, unless this reporter has sent this ``batch_id`` before.

    Bad records are refused one by one. A batch without a single good one leaves no trace and may be sent again.
    ``max_age`` None lets any past time through: for simulated traffic.
    """
    # The early answer to a repetition; of two at the same time, the claim below lets one pass.
    if TrafficBatch.objects.filter(reporter=by.id, batch_id=batch.batch_id).exists():
        return Receipt(is_duplicate=True)
    now = timezone.now()
    groups, unreadable = _group(batch.records, Judge(now, max_age))
    directory = look_up({api_id for _minute, api_id, _sub in groups}, {sub for _minute, _api_id, sub in groups})
    known, unknown = _part(groups, directory)
    refused = sorted(unreadable + unknown, key=lambda refusal: refusal.index)
    receipt = Receipt(accepted=len(batch.records) - len(refused), refused=refused)
    if not receipt.accepted:
        return receipt
    with transaction.atomic():
        if not _claim(batch.batch_id, receipt, by, now):
            return Receipt(is_duplicate=True)
        _append(known, directory)
    return receipt


def forget_batches(now: datetime) -> int:
    """Delete the ledger's entries that no repetition can need any more; return how many they were."""
    deleted, _by_model = TrafficBatch.objects.filter(received_at__lt=now - LEDGER_KEPT).delete()
    return deleted


def _group(records: list[Any], judge: Judge) -> tuple[Groups, list[Refusal]]:
    """Return the readable records by minute, API and subscription, and why the others are not."""
    groups: Groups = defaultdict(list)
    refused = []
    for index, record in enumerate(records):
        try:
            at, api_id, subscription_id, cell = judge.read(record)
        except RecordRefused as refusal:
            refused.append(Refusal(index, refusal.code, refusal.message))
        else:
            groups[int(at) // MINUTE_SECONDS, api_id, subscription_id].append((index, at, cell))
    return groups, refused


def _part(groups: Groups, directory: Directory) -> tuple[Groups, list[Refusal]]:
    """Return the calls of what exists, and the refusals of the others."""
    known: Groups = {}
    refused = []
    for key, entries in groups.items():
        _minute, api_id, subscription_id = key
        # A late report of what was called before the API was deleted still counts.
        until = directory.existed_until(api_id)
        kept = [entry for entry in entries if entry[1] <= until]
        refused += [Refusal(index, "unknown_api", NO_SUCH_API) for index, at, _cell in entries if at > until]
        if not directory.has_subscription(api_id, subscription_id):
            refused += [Refusal(index, "unknown_subscription", NO_SUCH_SUBSCRIPTION) for index, _at, _cell in kept]
        elif kept:
            known[key] = kept
    return known, refused


def _claim(batch_id: str, receipt: Receipt, by: Actor, now: datetime) -> bool:
    """Enter the batch in the ledger; False if it is there. An identical batch in flight is waited for."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM_BATCH, [by.id, batch_id, receipt.accepted, len(receipt.refused), now])
        return bool(cursor.rowcount)


def _append(groups: Groups, directory: Directory) -> None:
    with connection.cursor() as cursor, cursor.copy(COPY_DELTAS) as copy:
        for (minute, api_id, subscription_id), entries in groups.items():
            sketch = Sketch.of(cell for _index, _at, cell in entries)
            last_at = max(at for _index, at, _cell in entries)
            copy.write_row(
                (
                    datetime.fromtimestamp(minute * MINUTE_SECONDS, UTC),
                    datetime.fromtimestamp(last_at, UTC),
                    directory.apis[api_id].tenant_id,
                    api_id,
                    subscription_id,
                    sketch.requests,
                    sketch.errors,
                    sketch.to_bytes(),
                )
            )
