"""Services of traffic: count a batch exactly once, and purge the batches that no repetition can need."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.utils import timezone

from metrics.histograms.sketch import Sketch, cell_of
from metrics.ingest.batches import Batch
from metrics.ingest.grouping import MINUTE_SECONDS, Groups, ParsedRecords, Refusal, group_records, validate_records
from metrics.ingest.records import MAX_AGE, RecordValidator
from metrics.ingest.references import NO_SUCH_API, NO_SUCH_SUBSCRIPTION, KnownReferences, load_references
from metrics.models import TrafficBatch
from stoa_cp.db.expiry import delete_expired
from stoa_cp.db.prepared import fetch_one
from stoa_cp.domain.actors import Actor

# Much longer than MAX_AGE (48 hours): a batch that is repeated later has records that are too old to count anyway.
BATCH_RETENTION = timedelta(days=7)

# The batch and its deltas are inserted by one statement. So it is atomic without a transaction around it, and takes one
# round trip. COPY would take three, and is not faster for the hundred rows of a batch.
INSERT_BATCH = """
WITH claimed AS (
    INSERT INTO metrics_trafficbatch (reporter, batch_id, accepted, refused, received_at)
    VALUES (%(reporter)s, %(batch_id)s, %(accepted)s, %(refused)s, %(received_at)s)
    ON CONFLICT (reporter, batch_id) DO NOTHING
    RETURNING id
), appended AS (
    INSERT INTO metrics_trafficdelta
        (minute, last_request_at, tenant_id, api_id, subscription_id, mode, requests, errors, sketch)
    SELECT deltas.*
    FROM claimed, unnest(
        %(minute)b::timestamptz[], %(last_request_at)b::timestamptz[], %(tenant_id)b::text[], %(api_id)b::text[],
        %(subscription_id)b::text[], %(mode)b::text[], %(requests)b::bigint[], %(errors)b::bigint[], %(sketch)b::bytea[]
    ) AS deltas
)
SELECT id FROM claimed
"""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch."""

    accepted: int = 0
    is_duplicate: bool = False
    refused: list[Refusal] = field(default_factory=list)


class Delta(NamedTuple):
    """A row of ``TrafficDelta``."""

    minute: datetime
    last_request_at: datetime
    tenant_id: str
    api_id: str
    subscription_id: str | None
    mode: str
    requests: int
    errors: int
    sketch: bytes


def ingest_batch(
    batch: Batch, *, by: Actor, tenants: Collection[str] | None = None, max_age: timedelta | None = MAX_AGE
) -> Receipt:
    """Count the batch's valid records, unless this reporter has sent this ``batch_id`` before.

    1. Validate each record. Bad records are refused one by one.
    2. Group the valid records by minute, API, subscription and mode.
    3. Look up these APIs and subscriptions, and refuse the records of those that do not exist.
    4. Insert the batch with one delta for each group, in one statement. If the batch exists, nothing is inserted.

    A batch counts exactly once: (reporter, ``batch_id``) is unique, and the batch commits together with its deltas. A
    reporter that got no answer sends the batch again, with the same ``batch_id``.

    A batch without a valid record is not stored, so that it can be corrected and sent again. ``max_age`` None accepts
    any past time: for simulated traffic. ``tenants`` are the ids of those that the reporter serves (None: all); for it,
    the APIs of others do not exist.
    """
    now = timezone.now()
    parsed, invalid = validate_records(batch.records, RecordValidator(now, max_age))
    groups = group_records(parsed)
    references = load_references(
        {api_id for _minute, api_id, _subscription_id, _mode in groups},
        {subscription_id for _minute, _api_id, subscription_id, _mode in groups},
        tenants,
    )
    known, unknown = _split_known_and_refused(groups, parsed, references)
    refused = sorted(invalid + unknown, key=lambda refusal: refusal.index)
    receipt = Receipt(accepted=len(batch.records) - len(refused), refused=refused)
    if receipt.accepted:
        is_new = _insert_batch(batch.batch_id, receipt, _make_deltas(known, parsed, references), by=by, now=now)
    else:
        # Nothing to insert, but the answer for a repeated batch is the same even if its records are refused by now.
        is_new = not TrafficBatch.objects.filter(reporter=by.id, batch_id=batch.batch_id).exists()
    return receipt if is_new else Receipt(is_duplicate=True)


@transaction.atomic
def preview_batch(batch: Batch, *, by: Actor, tenants: Collection[str] | None = None) -> Receipt:
    """Return the receipt that ``ingest_batch`` would return, and count nothing."""
    receipt = ingest_batch(batch, by=by, tenants=tenants)
    transaction.set_rollback(True)
    return receipt


def purge_batches(now: datetime) -> int:
    """Delete the batches that are older than BATCH_RETENTION. Return how many."""
    return delete_expired(TrafficBatch.objects.filter(received_at__lt=now - BATCH_RETENTION).order_by("received_at"))


def _split_known_and_refused(
    groups: Groups, parsed: ParsedRecords, references: KnownReferences
) -> tuple[Groups, list[Refusal]]:
    """Return the records whose API and subscription exist, and the refusals of the others."""
    known: Groups = {}
    refused = []
    for key, rows in groups.items():
        _minute, api_id, subscription_id, _mode = key
        # A late report of calls that were made before the API was deleted still counts.
        until = references.existed_until(api_id)
        kept = [row for row in rows if parsed.times[row] <= until]
        late = [row for row in rows if parsed.times[row] > until]
        refused += [Refusal(parsed.indices[row], "unknown_api", NO_SUCH_API) for row in late]
        if not references.has_subscription(api_id, subscription_id):
            refused += [Refusal(parsed.indices[row], "unknown_subscription", NO_SUCH_SUBSCRIPTION) for row in kept]
        elif kept:
            known[key] = kept
    return known, refused


def _make_deltas(groups: Groups, parsed: ParsedRecords, references: KnownReferences) -> list[Delta]:
    cells = [cell_of(record.status, record.latency_ms) for record in parsed.records]
    deltas = []
    for (minute, api_id, subscription_id, mode), rows in groups.items():
        begins_at = datetime.fromtimestamp(minute * MINUTE_SECONDS, UTC)
        last_request_at = datetime.fromtimestamp(max(parsed.times[row] for row in rows), UTC)
        source = (references.owners[api_id], api_id, subscription_id, mode)
        sketch = Sketch.of(cells[row] for row in rows)
        deltas.append(Delta(begins_at, last_request_at, *source, sketch.requests, sketch.errors, sketch.to_bytes()))
    return deltas


def _insert_batch(batch_id: str, receipt: Receipt, deltas: list[Delta], *, by: Actor, now: datetime) -> bool:
    """Insert the batch and its deltas. Return False, and insert nothing, if the batch exists.

    If the same batch is being inserted by another transaction, PostgreSQL waits for that transaction's end.
    """
    columns = zip(Delta._fields, map(list, zip(*deltas, strict=True)), strict=True)
    batch = {
        "reporter": by.id,
        "batch_id": batch_id,
        "accepted": receipt.accepted,
        "refused": len(receipt.refused),
        "received_at": now,
    }
    return fetch_one(INSERT_BATCH, batch | dict(columns)) is not None
