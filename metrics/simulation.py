"""Invents plausible traffic: a daily rhythm, quieter weekends, lognormal latencies, and bursts of errors."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any

from subscriptions.models import Subscription, SubscriptionStatus

# Within a slot the traffic of an API does not change: it is how long a burst of errors lasts.
SLOT = timedelta(minutes=10)
BUSIEST_HOUR_UTC = 14
WEEKEND_FACTOR = 0.5
SATURDAY = 5  # datetime.weekday()

MEDIAN_LATENCY_MS = (20, 250)  # of an API: somewhere between
LATENCY_SIGMA = 0.6  # the 99th percentile is four times the median: exp(2.33 × 0.6)
SIMULATED_STATUSES = (200, 201, 204, 304, 400, 401, 404, 429, 500, 502, 503)
# How often each status occurs, in about 1,000 calls: 0.4 % and 40 % are errors.
NORMAL_WEIGHTS = (860, 50, 20, 20, 12, 8, 18, 6, 2, 1, 1)
BURST_WEIGHTS = (500, 30, 10, 10, 12, 8, 18, 12, 150, 100, 150)
BURST_CHANCE = 1 / 144  # of a slot: once a day for every API
BURST_SLOWDOWN = 4.0


@dataclass(frozen=True, slots=True)
class Target:
    """A subscription that calls: how often compared with others, and its API's median latency."""

    api_id: str
    subscription_id: str
    weight: float
    median_ms: float


def choose_targets(tenant_name: str | None, chance: Random) -> list[Target]:
    """Return the active subscriptions of a tenant, or of all. A few of them call much more than the rest."""
    subscriptions = Subscription.objects.filter(
        status=SubscriptionStatus.ACTIVE, api__deleted_at=None, tenant__deleted_at=None
    )
    if tenant_name is not None:
        subscriptions = subscriptions.filter(tenant__name=tenant_name)
    rows = list(subscriptions.order_by("created_at", "id").values_list("api_id", "id"))
    medians = {api_id: chance.uniform(*MEDIAN_LATENCY_MS) for api_id, _id in rows}
    # Zipf's law: the n-th application calls 1/n as often as the first.
    return [
        Target(api_id, subscription_id, 1 / rank, medians[api_id])
        for rank, (api_id, subscription_id) in enumerate(rows, start=1)
    ]


def simulate_records(
    targets: Sequence[Target], start: datetime, stop: datetime, count: int, chance: Random
) -> Iterator[dict[str, Any]]:
    """Yield exactly ``count`` records between ``start`` and ``stop``, ordered by time."""
    slots = [start + number * SLOT for number in range(math.ceil((stop - start) / SLOT))]
    cumulated = list(accumulate(_busyness(slot) for slot in slots))
    done = 0
    for slot, share in zip(slots, cumulated, strict=True):
        # Rounding the cumulated share, not each slot's own, makes the total exact.
        due = round(count * share / cumulated[-1])
        yield from _simulate_slot(targets, slot, min(SLOT, stop - slot), due - done, chance)
        done = due


def _busyness(moment: datetime) -> float:
    """Return how busy a moment is: 1 at the busiest hour of a working day, 0.2 twelve hours later."""
    angle = (moment.hour + moment.minute / 60 - BUSIEST_HOUR_UTC) / 24 * math.tau
    busyness = 0.6 + 0.4 * math.cos(angle)
    return busyness * WEEKEND_FACTOR if moment.weekday() >= SATURDAY else busyness


def _simulate_slot(
    targets: Sequence[Target], slot: datetime, length: timedelta, count: int, chance: Random
) -> Iterator[dict[str, Any]]:
    failing_apis = {target.api_id for target in targets if chance.random() < BURST_CHANCE}
    called = chance.choices(targets, [target.weight for target in targets], k=count)
    normal, burst = (
        iter(chance.choices(SIMULATED_STATUSES, weights, k=count)) for weights in (NORMAL_WEIGHTS, BURST_WEIGHTS)
    )
    offsets = sorted(chance.random() for _ in range(count))
    for target, offset in zip(called, offsets, strict=True):
        is_failing = target.api_id in failing_apis
        latency_ms = target.median_ms * chance.lognormvariate(0, LATENCY_SIGMA)
        yield {
            "timestamp": (slot + offset * length).isoformat(timespec="milliseconds"),
            "api_id": target.api_id,
            "subscription_id": target.subscription_id,
            "status": next(burst if is_failing else normal),
            "latency_ms": round(latency_ms * BURST_SLOWDOWN if is_failing else latency_ms, 1),
        }
