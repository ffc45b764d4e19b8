"""Kong's open edition: declarative services, routes and consumers. Kong decides by itself, with credentials to add."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from apikeys.gateway.configuration import Route
from apikeys.gateway.exporters.openresty import ONLY_WEBSOCKETS, REMOVE_CLIENT_HEADERS
from apikeys.gateway.exporters.site import Site, dump_yaml, escape_for_regex
from catalog.models import ApiStatus
from subscriptions.models import Subscription

COMMENT = """
A STOA gateway for Kong 3 (open edition), for `deck gateway sync` or the DB-less mode. Kong has no forward-auth plugin
of its own there, so it decides by itself: this file is a copy of what is subscribed now, and has to be written anew
when that changes. Limits are counted by Kong, per node.
CREDENTIALS ARE MISSING, on purpose: the control plane keeps digests of keys, never the keys. Add `keyauth_credentials`
to the consumers, or let applications present keys that you give out.
"""
FORMAT_VERSION = "3.0"
TAG = "stoa"


def export(site: Site) -> str:
    """Return a declarative configuration in YAML, without APIs that are inactive."""
    open_routes = [route for route in site.routes if route.status != ApiStatus.INACTIVE]
    tenants = {route.api_id: route.tenant for route in open_routes}
    subscriptions = [each for each in site.subscriptions if each.api_id in tenants]
    names = {route.api_id: name for name, route in _named(open_routes)}
    return dump_yaml(
        {
            "_format_version": FORMAT_VERSION,
            "_info": {"select_tags": [TAG]},
            "services": [_service(name, route) for name, route in _named(open_routes)],
            "consumers": [_consumer(each, tenants[each.api_id], names[each.api_id]) for each in subscriptions],
        },
        COMMENT,
    )


def _named(routes: Iterable[Route]) -> list[tuple[str, Route]]:
    """Return each route with a unique name, which Kong requires: two versions of an API may have one name."""
    by_name = defaultdict(list)
    for route in routes:
        by_name[f"{route.tenant}-{_plain(route.name)}"].append(route)
    return [
        (name if len(same) == 1 else f"{name}-{route.api_id}", route)
        for name, same in by_name.items()
        for route in same
    ]


def _plain(name: str) -> str:
    """Return a name in the characters that Kong allows."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-" for letter in name)


def _service(name: str, route: Route) -> dict[str, Any]:
    # Runs before all other plugins, so Kong's own headers about the consumer are still to come.
    plugins = [_plugin("pre-function", access=[REMOVE_CLIENT_HEADERS + ONLY_WEBSOCKETS])]
    if route.auth_required:
        plugins.append(_plugin("key-auth", key_names=["X-API-Key"], hide_credentials=True))
        # key-auth accepts any consumer's key; acl lets only this API's subscribers pass.
        plugins.append(_plugin("acl", allow=[name], hide_groups_header=True))
    if route.requests_per_hour:
        # "local" counts per node, and needs neither a database nor a Redis.
        plugins.append(_plugin("rate-limiting", hour=route.requests_per_hour, limit_by="service", policy="local"))
    return {
        "name": name,
        "url": f"{route.scheme}://{route.authority}{route.base_path}",
        "tags": [TAG, route.tenant],
        "routes": [
            {
                "name": name,
                # By whole segments: /pay must not match /payments. `~` marks a regular expression.
                "paths": [f"~{escape_for_regex(route.path)}(?=/|$)"],
                "strip_path": True,
                "tags": [TAG, route.tenant],
            }
        ],
        "plugins": plugins,
    }


def _consumer(subscription: Subscription, tenant: str, group: str) -> dict[str, Any]:
    limits = {"hour": subscription.rate_limit, "month": subscription.quota}
    limits = {period: limit for period, limit in limits.items() if limit}
    return {
        "username": f"{tenant}-{_plain(subscription.application)}-{subscription.id}",
        "custom_id": subscription.id,
        "tags": [TAG, tenant],
        "acls": [{"group": group, "tags": [TAG]}],
        "plugins": [_plugin("rate-limiting", limit_by="consumer", policy="local", **limits)] if limits else [],
    }


def _plugin(plugin: str, **config: Any) -> dict[str, Any]:
    return {"name": plugin, "tags": [TAG], "config": config}
