"""Traffic for tests, and what came of it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import count
from typing import Any

from django.utils import timezone

from catalog.models import Api
from metrics.ingest.batches import Batch
from metrics.models import Dimension, TrafficDelta
from metrics.rollups.fold import fold_deltas
from metrics.rollups.resolutions import RESOLUTIONS, Resolution
from metrics.services import Receipt, ingest_batch
from stoa_cp.domain.actors import GATEWAY, Actor
from subscriptions.models import Subscription

EDGE = Actor(id="gtw-0123456789abcdef", roles=frozenset({GATEWAY}))

# A Thursday morning, on which the tests of this folder may stop the clock.
NOW = datetime(2025, 6, 19, 10, 15, 30, tzinfo=UTC)

_numbers = count(1)


def record_of(called: Subscription | Api, at: datetime | None = None, **fields: Any) -> dict[str, Any]:
    """Return a record of a call with a subscription, or of one to an API without any."""
    api_id, subscription_id = (called.api_id, called.id) if isinstance(called, Subscription) else (called.id, None)
    return {
        "timestamp": (at or timezone.now()).isoformat(),
        "api_id": api_id,
        "subscription_id": subscription_id,
        "status": 200,
        "latency_ms": 87,
    } | fields


def report(*records: Any, batch_id: str = "", by: Actor = EDGE) -> Receipt:
    """Count records whose time may be any in the past."""
    return ingest_batch(Batch(batch_id or f"batch-{next(_numbers)}", list(records)), by=by, max_age=None)


def fold_all() -> None:
    """Fold until nothing is left."""
    while fold_deltas():
        pass


def counted(resolution: Resolution | None = None, dimension: Dimension = Dimension.SUBSCRIPTION) -> int:
    """Return how many requests a resolution holds in a dimension; without a resolution, how many are not folded."""
    rows: Iterable[Any] = TrafficDelta.objects.all()
    if resolution is not None:
        rows = resolution.model.objects.filter(series__dimension=dimension)
    return sum(row.requests for row in rows)


def counted_everywhere() -> set[int]:
    """Return the requests of each resolution and dimension with the unfolded tail: a single number if all agree."""
    tail = counted()
    return {tail + counted(resolution, dimension) for resolution in RESOLUTIONS for dimension in resolution.dimensions}
