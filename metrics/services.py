"""Counts a batch of traffic: record by record, exactly once, in one statement."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.utils import timezone

from metrics.histograms.sketch import Sketch, cell_of
from metrics.ingest.batches import Batch
from metrics.ingest.grouping import MINUTE_SECONDS, Groups, ParsedRecords, Refusal, group_calls, validate_records
from metrics.ingest.records import MAX_AGE, RecordValidator
from metrics.ingest.references import NO_SUCH_API, NO_SUCH_SUBSCRIPTION, KnownReferences, look_up
from metrics.models import TrafficBatch
from stoa_cp.db.prepared import fetch_one
from stoa_cp.domain.actors import Actor

# Much longer than MAX_AGE: by then a repetition's records are too old to count anyway.
LEDGER_KEPT = timedelta(days=7)

# The claim and the deltas are one statement, and so one transaction, in one exchange with the server. COPY would take
# three, and is no faster for the hundred rows of a batch.
COUNT_BATCH = """
WITH claimed AS (
    INSERT INTO metrics_trafficbatch (reporter, batch_id, accepted, refused, received_at)
    VALUES (%(reporter)s, %(batch_id)s, %(accepted)s, %(refused)s, %(received_at)s)
    ON CONFLICT (reporter, batch_id) DO NOTHING
    RETURNING id
), appended AS (
    INSERT INTO metrics_trafficdelta
        (minute, last_request_at, tenant_id, api_id, subscription_id, requests, errors, sketch)
    SELECT deltas.*
    FROM claimed, unnest(
        %(minute)b::timestamptz[], %(last_request_at)b::timestamptz[], %(tenant_id)b::text[], %(api_id)b::text[],
        %(subscription_id)b::text[], %(requests)b::bigint[], %(errors)b::bigint[], %(sketch)b::bytea[]
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
    requests: int
    errors: int
    sketch: bytes


def ingest_batch(batch: Batch, *, by: Actor, max_age: timedelta | None = MAX_AGE) -> Receipt:
    """Count the batch's good records, unless this reporter has sent this ``batch_id`` before.

    Bad records are refused one by one. A batch without a single good one leaves no trace and may be sent again.
    ``max_age`` None lets any past time through: for simulated traffic.
    """
    now = timezone.now()
    calls, unreadable = validate_records(batch.records, RecordValidator(now, max_age))
    groups = group_calls(calls)
    directory = look_up({api_id for _minute, api_id, _sub in groups}, {sub for _minute, _api_id, sub in groups})
    known, unknown = _split_known_and_refused(groups, calls, directory)
    refused = sorted(unreadable + unknown, key=lambda refusal: refusal.index)
    receipt = Receipt(accepted=len(batch.records) - len(refused), refused=refused)
    if receipt.accepted:
        is_new = _count(batch.batch_id, receipt, _make_deltas(known, calls, directory), by=by, now=now)
    else:
        is_new = not TrafficBatch.objects.filter(reporter=by.id, batch_id=batch.batch_id).exists()
    return receipt if is_new else Receipt(is_duplicate=True)


def forget_batches(now: datetime) -> int:
    """Delete the ledger's entries that no repetition can need any more; return how many they were."""
    deleted, _by_model = TrafficBatch.objects.filter(received_at__lt=now - LEDGER_KEPT).delete()
    return deleted


def _split_known_and_refused(
    groups: Groups, calls: ParsedRecords, directory: KnownReferences
) -> tuple[Groups, list[Refusal]]:
    """Return the calls of what exists, and the refusals of the others."""
    known: Groups = {}
    refused = []
    for key, places in groups.items():
        _minute, api_id, subscription_id = key
        # A late report of what was called before the API was deleted still counts.
        until = directory.existed_until(api_id)
        kept = [place for place in places if calls.times[place] <= until]
        late = [place for place in places if calls.times[place] > until]
        refused += [Refusal(calls.indices[place], "unknown_api", NO_SUCH_API) for place in late]
        if not directory.has_subscription(api_id, subscription_id):
            refused += [Refusal(calls.indices[place], "unknown_subscription", NO_SUCH_SUBSCRIPTION) for place in kept]
        elif kept:
            known[key] = kept
    return known, refused


def _make_deltas(groups: Groups, calls: ParsedRecords, directory: KnownReferences) -> list[Delta]:
    cells = [cell_of(record.status, record.latency_ms) for record in calls.records]
    deltas = []
    for (minute, api_id, subscription_id), places in groups.items():
        begins_at = datetime.fromtimestamp(minute * MINUTE_SECONDS, UTC)
        last_at = datetime.fromtimestamp(max(calls.times[place] for place in places), UTC)
        whose = (directory.owners[api_id], api_id, subscription_id)
        sketch = Sketch.of(cells[place] for place in places)
        deltas.append(Delta(begins_at, last_at, *whose, sketch.requests, sketch.errors, sketch.to_bytes()))
    return deltas


def _count(batch_id: str, receipt: Receipt, deltas: list[Delta], *, by: Actor, now: datetime) -> bool:
    """Append the deltas, unless the ledger has the batch: then False. An identical batch in flight is waited for."""
    columns = zip(Delta._fields, map(list, zip(*deltas, strict=True)), strict=True)
    entry = {
        "reporter": by.id,
        "batch_id": batch_id,
        "accepted": receipt.accepted,
        "refused": len(receipt.refused),
        "received_at": now,
    }
    return fetch_one(COUNT_BATCH, entry | dict(columns)) is not None
