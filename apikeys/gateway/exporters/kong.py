"""Kong's open edition: declarative services, routes and consumers. Kong decides by itself, with credentials to add."""

import json
from collections.abc import Iterator
from typing import Any

from apikeys.gateway.configuration import Access, Route
from apikeys.gateway.exporters.openresty import ONLY_WEBSOCKETS, REMOVE_CLIENT_HEADERS
from apikeys.gateway.exporters.sections import stream_yaml, write_sections
from apikeys.gateway.exporters.site import Site, escape_for_regex
from catalog.models import ApiStatus

COMMENT = """
A STOA gateway for Kong 3 (open edition), for `deck gateway sync` or the DB-less mode. Kong has no forward-auth plugin
of its own there, so it decides by itself: this file is a copy of what is subscribed now, and has to be written anew
when that changes. Limits are counted by Kong, per node.
CREDENTIALS ARE MISSING, on purpose: the control plane keeps digests of keys, never the keys. Add `keyauth_credentials`
to the consumers, or let applications present keys that you give out.
All names here are ids of the control plane, which also finds them: a service is an API, a consumer is a subscription.
"""
FORMAT_VERSION = "3.0"
TAG = "stoa"


def export(site: Site) -> Iterator[str]:
    """Yield a declarative configuration in YAML, without APIs that are inactive."""
    open_routes = (route for route in site.routes if route.status != ApiStatus.INACTIVE)
    sections = write_sections(open_routes, services=lambda route: [_service(route)])
    sections |= write_sections(site.subscriptions, consumers=_consumer_line)
    document = {
        "_format_version": FORMAT_VERSION,
        "_info": {"select_tags": [TAG]},
        "services": sections["services"].as_list,
        "consumers": sections["consumers"].as_list,
    }
    return stream_yaml(document, COMMENT, sections)


def _service(route: Route) -> dict[str, Any]:
    # Ids for all names: Kong takes no two services or consumers of one name, and people may choose names that are the
    # same when they are joined or reduced to the characters that Kong allows.
    # Runs before all other plugins, so Kong's own headers about the consumer are still to come.
    plugins = [_plugin("pre-function", access=[REMOVE_CLIENT_HEADERS + ONLY_WEBSOCKETS])]
    if route.auth_required:
        plugins.append(_plugin("key-auth", key_names=["X-API-Key"], hide_credentials=True))
        # key-auth accepts any consumer's key; acl lets only this API's subscribers pass.
        plugins.append(_plugin("acl", allow=[route.api_id], hide_groups_header=True))
    if route.requests_per_hour:
        # "local" counts per node, and needs neither a database nor a Redis.
        plugins.append(_plugin("rate-limiting", hour=route.requests_per_hour, limit_by="service", policy="local"))
    return {
        "name": route.api_id,
        "url": f"{route.scheme}://{route.authority}{route.base_path}",
        "tags": [TAG, route.tenant_id],
        "routes": [
            {
                "name": route.api_id,
                # By whole segments: /pay must not match /payments. `~` marks a regular expression.
                "paths": [f"~{escape_for_regex(route.path)}(?=/|$)"],
                "strip_path": True,
                "tags": [TAG, route.tenant_id],
            }
        ],
        "plugins": plugins,
    }


def _consumer_line(subscription: Access) -> str:
    """Return a consumer in one line: JSON, which is YAML too and takes 1/25 of the time. There may be 200,000."""
    return f"- {json.dumps(_consumer(subscription))}\n"


def _consumer(subscription: Access) -> dict[str, Any]:
    limits = {"hour": subscription.rate_limit, "month": subscription.quota}
    limits = {period: limit for period, limit in limits.items() if limit}
    return {
        "username": subscription.id,
        "custom_id": subscription.id,
        "tags": [TAG, subscription.tenant_id],
        "acls": [{"group": subscription.api_id, "tags": [TAG]}],
        "plugins": [_plugin("rate-limiting", limit_by="consumer", policy="local", **limits)] if limits else [],
    }


def _plugin(plugin: str, **config: Any) -> dict[str, Any]:
    return {"name": plugin, "tags": [TAG], "config": config}
