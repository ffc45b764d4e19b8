"""Traefik: a file for its file provider, with a router and a service per API behind ForwardAuth."""

from typing import Any, NamedTuple

from apikeys.gateway.configuration import Route
from apikeys.gateway.exporters.site import (
    FOREIGN_HEADERS,
    IDENTITY_HEADERS,
    IDENTITY_SPELLINGS,
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
DECISION = ("stoa-before", "stoa-decision")
NOWHERE = "stoa-nowhere"


class Credential(NamedTuple):
    """How a call may carry a key of ours: the end of its routers' names and rules, and the headers that stop here."""

    name: str
    rule: str
    removed: tuple[str, ...]


# Any other credential is the upstream's own business, and no middleware of Traefik's looks at a value.
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
                "routers": {NOWHERE: _nowhere_router()}
                | {f"{route.api_id}{each.name}": _router(route, each) for route in site.routes for each in CREDENTIALS},
                "middlewares": _shared_middlewares(site)
                | {f"{route.api_id}-path": _path_middleware(route) for route in site.routes},
                "services": {NOWHERE: {"loadBalancer": {"servers": []}}}
                | {route.api_id: _service(route) for route in site.routes},
            }
        },
        COMMENT,
    )


def _router(route: Route, credential: Credential) -> dict[str, Any]:
    # By whole segments: /pay is no prefix of /payments.
    rule = f"(Path(`{route.path}`) || PathPrefix(`{route.path}/`)){credential.rule}"
    return {
        "rule": rule,
        # The longer path comes first, then the router that knows of a key.
        "priority": len(route.path) * len(CREDENTIALS) + CREDENTIALS.index(credential),
        "middlewares": [*DECISION, f"stoa-after{credential.name}", f"{route.api_id}-path"],
        "service": route.api_id,
    }


def _nowhere_router() -> dict[str, Any]:
    """Return where all else goes: a refusal says why, and an API that is newer than the file is a 503."""
    return {"rule": "PathPrefix(`/`)", "priority": 1, "middlewares": list(DECISION), "service": NOWHERE}


def _shared_middlewares(site: Site) -> dict[str, Any]:
    token = site.token_or('{{ env "STOA_GATEWAY_TOKEN" }}')
    # An empty value removes the header: what a client claims is gone, also where the answer says nothing.
    foreign = dict.fromkeys((*IDENTITY_SPELLINGS, *ROUTING_HEADERS, *FOREIGN_HEADERS), "")
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
        **{f"stoa-after{each.name}": _removal(TOKEN_HEADER, *each.removed) for each in CREDENTIALS},
    }


def _removal(*names: str) -> dict[str, Any]:
    return {"headers": {"customRequestHeaders": dict.fromkeys(names, "")}}


def _path_middleware(route: Route) -> dict[str, Any]:
    return {"replacePathRegex": {"regex": f"^{quoted(route.path)}(.*)", "replacement": f"{route.base_path}$1"}}


def _service(route: Route) -> dict[str, Any]:
    url = f"{route.scheme}://{route.authority}"
    return {"loadBalancer": {"passHostHeader": False, "servers": [{"url": url}]}}
