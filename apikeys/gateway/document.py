"""The JSON document for gateways that decide by themselves: keys, subscriptions and routes."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from apikeys.gateway.configuration import Access, Route, Tenants, read_keys, read_routes, read_subscriptions

DIGEST_ALGORITHM = "hmac-sha256"


def stream_document(tenants: Tenants = None) -> Iterator[str]:
    """Yield, as JSON, everything that a gateway of these tenants needs to decide by itself.

    ``keys[].digest`` is HMAC-SHA256 in hexadecimal under one of STOA_KEY_PEPPERS, which such a gateway must have as
    well. It must refuse calls after ``expires_at`` and ``valid_until`` by itself: the events about them come later,
    from a sweep. And those that ``allowed_ips``, ``allowed_methods`` and ``allowed_paths`` do not allow.
    """
    # Many statements, each with its own snapshot. Keys first, then subscriptions, then routes: a row that is created
    # in between is never referred to before it is there. One that is deleted in between may be; then the key opens
    # nothing.
    yield f'{{"digest_algorithm":"{DIGEST_ALGORITHM}","keys":['
    yield from _joined(read_keys(tenants))
    yield '],"subscriptions":['
    yield from _joined(map(_subscription, read_subscriptions(tenants)))
    yield '],"routes":['
    yield from _joined(map(_route_document, read_routes(tenants)))
    yield "]}"


def _joined(items: Iterable[dict[str, Any]]) -> Iterator[str]:
    comma = ""
    for item in items:
        yield comma + json.dumps(item, separators=(",", ":"), ensure_ascii=False)
        comma = ","


def _subscription(subscription: Access) -> dict[str, Any]:
    return {
        "id": subscription.id,
        "tenant_id": subscription.tenant_id,
        "api_id": subscription.api_id,
        "application": subscription.application,
        "plan": subscription.plan,
        "rate_limit": subscription.rate_limit,
        "quota": subscription.quota,
        "expires_at": subscription.expires_at,
    }


def _route_document(route: Route) -> dict[str, Any]:
    return {
        "api_id": route.api_id,
        "tenant_id": route.tenant_id,
        "tenant": route.tenant,
        "path": route.path,
        "upstream_url": route.upstream_url,
        "sandbox_url": route.sandbox_url,
        "auth_required": route.auth_required,
        "rate_limit": {"requests_per_hour": route.requests_per_hour},
        "status": route.status,
    }
