"""Counts APIs and finds gateways, for the console and for commands."""

from collections import Counter
from datetime import datetime

from catalog.models import Api, Gateway


def count_apis() -> int:
    """Return how many live APIs live tenants have."""
    # Deleting a tenant changes its own row only: its APIs keep their state.
    return Api.objects.live().filter(tenant__deleted_at=None).count()


def live_gateway(gateway_id: str) -> Gateway | None:
    """Return the live gateway of this id, or None."""
    return Gateway.objects.live().filter(pk=gateway_id).first()


def count_tokens_by_pepper() -> Counter[str | None]:
    """Return how many tokens of live gateways need each pepper, by its fingerprint; None is unknown."""
    return Counter(Gateway.objects.live().order_by().values_list("token_pepper", flat=True))


def list_gateways_that_need(pepper: str | None) -> list[tuple[str, datetime | None]]:
    """Return the live gateways whose token needs a pepper (None: an unknown one): their id, and when they called."""
    gateways = Gateway.objects.live().filter(token_pepper=pepper).order_by("id")
    return list(gateways.values_list("id", "last_seen_at"))
