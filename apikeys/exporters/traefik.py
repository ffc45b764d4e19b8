"""Traefik: a file for its file provider, with a router and a service per API behind ForwardAuth."""

from typing import Any

from apikeys.configuration import Route
from apikeys.exporters.site import (
    FOREIGN_HEADERS,
    IDENTITY_HEADERS,
    ROUTING_HEADERS,
    TOKEN_HEADER,
    Site,
    dump_yaml,
    quoted,
)

COMMENT = """
A STOA gateway for Traefik 3: a dynamic configuration for the file provider. The token stands in Traefik's environment:
STOA_GATEWAY_TOKEN. A new API needs this file again. Traefik cleans paths before it routes (sanitizePath, on by
default), and the control plane refuses whatever path two programs could read differently.
"""
ASKED_WITH = ("X-API-Key", "Authorization", "Accept-Language", TOKEN_HEADER)


def export(site: Site) -> str:
    """Return a dynamic configuration in YAML."""
    return dump_yaml(
        {
            "http": {
                "routers": {route.api_id: _router(route) for route in site.routes},
                "middlewares": _shared_middlewares(site)
                | {f"{route.api_id}-path": _path_middleware(route) for route in site.routes},
                "services": {route.api_id: _service(route) for route in site.routes},
            }
        },
        COMMENT,
    )


def _router(route: Route) -> dict[str, Any]:
    return {
        # By whole segments: /pay is no prefix of /payments.
        "rule": f"Path(`{route.path}`) || PathPrefix(`{route.path}/`)",
        "priority": len(route.path),
        "middlewares": ["stoa-before", "stoa-decision", "stoa-after", f"{route.api_id}-path"],
        "service": route.api_id,
    }


def _shared_middlewares(site: Site) -> dict[str, Any]:
    token = site.token_or('{{ env "STOA_GATEWAY_TOKEN" }}')
    # An empty value removes the header: what a client claims is gone, also where the answer says nothing.
    foreign = dict.fromkeys((*IDENTITY_HEADERS, *ROUTING_HEADERS, *FOREIGN_HEADERS), "")
    return {
        "stoa-before": {"headers": {"customRequestHeaders": foreign | {TOKEN_HEADER: token}}},
        "stoa-decision": {
            "forwardAuth": {
                "address": f"{site.control_plane_url}/v1/gateway/authorize",
                # The client's X-Forwarded-* are overwritten, so that it cannot ask about another path.
                "trustForwardHeader": False,
                "authRequestHeaders": list(ASKED_WITH),
                "authResponseHeaders": list(IDENTITY_HEADERS),
            }
        },
        "stoa-after": {"headers": {"customRequestHeaders": {TOKEN_HEADER: "", "X-API-Key": ""}}},
    }


def _path_middleware(route: Route) -> dict[str, Any]:
    return {"replacePathRegex": {"regex": f"^{quoted(route.path)}(.*)", "replacement": f"{route.base_path}$1"}}


def _service(route: Route) -> dict[str, Any]:
    url = f"{route.scheme}://{route.authority}"
    return {"loadBalancer": {"passHostHeader": False, "servers": [{"url": url}]}}
