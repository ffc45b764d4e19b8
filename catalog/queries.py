"""Counts APIs and finds gateways, for the console and for commands."""

from collections import Counter
from datetime import datetime

from django.db.models import Q

from catalog.models import Api, Gateway
from stoa_cp.db.bounds import count_up_to
from stoa_cp.db.ids import is_id
from tenants.queries import find_tenant_ids


def count_apis(limit: int) -> int:
    """Return how many live APIs live tenants have; ``limit`` if there are more."""
    # Deleting a tenant changes its own row only: its APIs keep their state.
    return count_up_to(limit, Api.objects.live().filter(tenant__deleted_at=None))


def found_by(text: str) -> Q:
    """Return the condition for APIs of this id or name, or of a tenant's."""
    if is_id(text, "api"):
        return Q(id=text)
    tenants = find_tenant_ids(text)
    return Q(tenant__in=tenants) if tenants else Q(name=text)


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
