"""What a worker claims, and how its attempts end, for tests."""

from datetime import UTC, datetime

from webhooks.delivery.queue import DeliveryLease, Outcome, claim_due
from webhooks.models import DeliveryStatus

AT = datetime(2026, 1, 9, 10, 30, tzinfo=UTC)


def claim(at_most: int) -> list[DeliveryLease]:
    """Lease up to ``at_most`` due deliveries, as a worker does."""
    return list(claim_due(at_most))


def outcome_of(lease: DeliveryLease, **fields: object) -> Outcome:
    """Return the outcome of a success, but for ``fields``."""
    success = {
        "status": DeliveryStatus.DELIVERED,
        "delay_seconds": None,
        "response_status": 200,
        "error": "",
        "excerpt": "ok",
    }
    return Outcome(lease=lease, started_at=AT, duration_ms=12, **success | fields)  # type: ignore[arg-type]  # a mix
