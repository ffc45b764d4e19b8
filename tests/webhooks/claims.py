"""Claims for tests: what a worker would send now."""

from webhooks.delivery.queue import DeliveryLease, claim_due


def claim(at_most: int) -> list[DeliveryLease]:
    """Lease up to ``at_most`` due deliveries, as a worker does."""
    return list(claim_due(at_most))
