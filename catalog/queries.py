"""Counts APIs and finds gateways, for the console."""

from catalog.models import Api, Gateway


def count_apis() -> int:
    """Return how many live APIs live tenants have."""
    # Deleting a tenant changes its own row only: its APIs keep their state.
    return Api.objects.live().filter(tenant__deleted_at=None).count()


def live_gateway(gateway_id: str) -> Gateway | None:
    """Return the live gateway of this id, or None."""
    return Gateway.objects.live().filter(pk=gateway_id).first()
