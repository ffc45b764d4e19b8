"""Traefik: a file for its file provider, with a router and a service per API behind ForwardAuth."""

from typing import Any, NamedTuple

from apikeys.gateway.configuration import Route
from apikeys.gateway.exporters.site import (
    IDENTITY_HEADERS,
    IDENTITY_SPELLINGS,
    INTERNAL_HEADERS,
    ROUTING_HEADERS,
    TOKEN_HEADER,
    Site,
    dump_yaml,
    escape_for_regex,
)

COMMENT = """
A STOA gateway for Traefik 3: a dynamic configuration for the file provider. The token stands in Traefik's environment:
STOA_GATEWAY_TOKEN. A new API needs this file again. Traefik cleans paths before it routes (sanitizePath, on by
default), and the control plane refuses whatever path two programs could read differently.
"""
REQUEST_HEADERS = ("X-API-Key", "Authorization", "Accept-Language", TOKEN_HEADER)
DECISION = ("stoa-before", "stoa-decision")
FALLBACK = "stoa-nowhere"


class Credential(NamedTuple):
    """One way to send a key of ours: the suffix of its routers' names and rules, and the headers to remove."""

    name: str
    rule: str
    removed: tuple[str, ...]


# Our keys must not reach the upstream; another credential is the upstream's own. No middleware of Traefik decides by a
# header's value, but a router's rule does: so each API has three routers, and the one that matches removes the right
# header.
CREDENTIALS = (
    Credential("", "", ()),
    Credential("-key", " && HeaderRegexp(`X-API-Key`, `^stoa_`)", ("X-API-Key",)),
    Credential("-bearer", " && HeaderRegexp(`Authorization`, `(?i)^bearer +stoa_`)", ("X-API-Key", "Authorization")),
)


def export(site: Site) -> str:
    """Return a dynamic configuration in YAML."""
    return dump_yaml(
        {
            "http": {
                "routers": {FALLBACK: _fallback_router()}
                | {f"{route.api_id}{each.name}": _router(route, each) for route in site.routes for each in CREDENTIALS},
                "middlewares": _shared_middlewares(site)
                | {f"{route.api_id}-path": _path_middleware(route) for route in site.routes},
                "services": {FALLBACK: {"loadBalancer": {"servers": []}}}
                | {route.api_id: _service(route) for route in site.routes},
            }
        },
        COMMENT,
    )


def _router(route: Route, credential: Credential) -> dict[str, Any]:
    # By whole segments: /pay must not match /payments.
    rule = f"(Path(`{route.path}`) || PathPrefix(`{route.path}/`)){credential.rule}"
    return {
        "rule": rule,
        # The longest path first. Of one path, the router for a bearer token, which removes both headers, then the one
        # for X-API-Key.
        "priority": len(route.path) * len(CREDENTIALS) + CREDENTIALS.index(credential),
        "middlewares": [*DECISION, f"stoa-after{credential.name}", f"{route.api_id}-path"],
        "service": route.api_id,
    }


def _fallback_router() -> dict[str, Any]:
    """Return the router for all other paths.

    Without it Traefik would answer 404 before the control plane is queried. So a refusal has its reason, and a call
    that is allowed, because its API is newer than this file, gets a 503: the service has no server.
    """
    return {"rule": "PathPrefix(`/`)", "priority": 1, "middlewares": list(DECISION), "service": FALLBACK}


def _shared_middlewares(site: Site) -> dict[str, Any]:
    token = site.token_or('{{ env "STOA_GATEWAY_TOKEN" }}')
    # An empty value removes a header. authResponseHeaders replaces only what the answer has.
    client_headers = dict.fromkeys((*IDENTITY_SPELLINGS, *ROUTING_HEADERS, *INTERNAL_HEADERS), "")
    return {
        "stoa-before": {"headers": {"customRequestHeaders": client_headers | {TOKEN_HEADER: token}}},
        "stoa-decision": {
            "forwardAuth": {
                "address": f"{site.control_plane_url}/v1/gateway/authorize",
                # The client's X-Forwarded-* are overwritten: it must not choose the path that is decided on.
                "trustForwardHeader": False,
                "authRequestHeaders": list(REQUEST_HEADERS),
                "authResponseHeaders": list(IDENTITY_HEADERS),
            }
            | ({"tls": {"ca": site.ca_file}} if site.uses_tls and site.ca_file else {})
        },
        **{f"stoa-after{each.name}": _remove_headers(TOKEN_HEADER, *each.removed) for each in CREDENTIALS},
    }


def _remove_headers(*names: str) -> dict[str, Any]:
    return {"headers": {"customRequestHeaders": dict.fromkeys(names, "")}}


def _path_middleware(route: Route) -> dict[str, Any]:
    return {
        "replacePathRegex": {"regex": f"^{escape_for_regex(route.path)}(.*)", "replacement": f"{route.base_path}$1"}
    }


def _service(route: Route) -> dict[str, Any]:
    url = f"{route.scheme}://{route.authority}"
    return {"loadBalancer": {"passHostHeader": False, "servers": [{"url": url}]}}
