"""Traefik: a file for its file provider, with a router and a service per API behind ForwardAuth."""

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

from apikeys.gateway.configuration import Route
from apikeys.gateway.exporters.sections import stream_yaml, write_sections
from apikeys.gateway.exporters.site import (
    IDENTITY_HEADERS,
    INTERNAL_HEADERS,
    ROUTING_HEADERS,
    TOKEN_HEADER,
    Site,
    escape_for_regex,
    spellings,
)

COMMENT = """
A STOA gateway for Traefik 3: a dynamic configuration for the file provider. The token stands in Traefik's environment:
STOA_GATEWAY_TOKEN. A new API needs this file again. Traefik cleans paths before it routes (sanitizePath, on by
default), and the control plane refuses whatever path two programs could read differently.
This file removes the headers that could be taken for our own, such as X_Stoa_Tenant, by name. Recent releases remove
all names with _ if they are started with --entryPoints.web.http.aliasHeadersStrategy=delete.
"""
REQUEST_HEADERS = ("X-API-Key", "Authorization", "Accept-Language", TOKEN_HEADER)
DECISION = ("stoa-before", "stoa-decision")
FALLBACK = "stoa-nowhere"


# Other headers that mean something to the control plane or an upstream. Traefik sets or reads them, spelled with -.
SET_BY_TRAEFIK = (
    "X-API-Key",
    *(f"X-Forwarded-{name}" for name in ("For", "Host", "Method", "Port", "Prefix", "Proto", "Server", "Uri")),
    "X-Real-Ip",
)


class Case(NamedTuple):
    """A property of a call: the suffix of its routers' names and rules, and the headers to set; "" removes one."""

    name: str
    rule: str
    headers: dict[str, str]


# Our keys must not reach the upstream; another credential is the upstream's own. No middleware of Traefik decides by a
# header's value, but a router's rule does: so each API has a router for each case, and the one that matches removes the
# right headers.
CREDENTIALS = (
    Case("", "", {}),
    Case("-key", " && HeaderRegexp(`X-API-Key`, `^stoa_`)", {"X-API-Key": ""}),
    Case(
        "-bearer",
        " && HeaderRegexp(`Authorization`, `(?i)^bearer +stoa_`)",
        {"X-API-Key": "", "Authorization": ""},
    ),
)
# The same for Upgrade. To no other protocol: a tunnel of h2c would carry any number of calls that are never decided on.
# If there are two Upgrade headers, the rule reads both, and what is set replaces both.
UPGRADES = (
    Case("", "", {"Upgrade": "", "Connection": ""}),
    Case(
        "-socket",
        " && HeaderRegexp(`Upgrade`, `(?i)^websocket$`)",
        {"Upgrade": "websocket", "Connection": "Upgrade"},
    ),
)
# In the order of priority within one path: a router with more rules is tried before those with fewer.
CASES = tuple(product(CREDENTIALS, UPGRADES))


def export(site: Site) -> Iterator[str]:
    """Yield a dynamic configuration in YAML."""
    sections = write_sections(
        site.routes,
        routers=_routers,
        middlewares=lambda route: {f"{route.api_id}-path": _path_middleware(route)},
        services=lambda route: {route.api_id: _service(route)},
    )
    document = {
        "http": {
            "routers": {FALLBACK: _fallback_router()} | sections["routers"].as_mapping,
            "middlewares": _shared_middlewares(site) | sections["middlewares"].as_mapping,
            "services": {FALLBACK: {"loadBalancer": {"servers": []}}} | sections["services"].as_mapping,
        }
    }
    return stream_yaml(document, COMMENT, sections)


def _routers(route: Route) -> dict[str, Any]:
    return {
        f"{route.api_id}{credential.name}{upgrade.name}": _router(route, credential, upgrade)
        for credential, upgrade in CASES
    }


def _router(route: Route, credential: Case, upgrade: Case) -> dict[str, Any]:
    # By whole segments: /pay must not match /payments.
    rule = f"(Path(`{route.path}`) || PathPrefix(`{route.path}/`)){credential.rule}{upgrade.rule}"
    return {
        "rule": rule,
        "priority": len(route.path) * len(CASES) + CASES.index((credential, upgrade)),
        "middlewares": [*DECISION, f"stoa-after{credential.name}{upgrade.name}", f"{route.api_id}-path"],
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
    aliases = [name for name in spellings(SET_BY_TRAEFIK) if "_" in name]
    client_headers = dict.fromkeys((*spellings((*IDENTITY_HEADERS, *ROUTING_HEADERS, *INTERNAL_HEADERS)), *aliases), "")
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
        **{
            f"stoa-after{credential.name}{upgrade.name}": {
                "headers": {"customRequestHeaders": {TOKEN_HEADER: ""} | credential.headers | upgrade.headers}
            }
            for credential, upgrade in CASES
        },
    }


def _path_middleware(route: Route) -> dict[str, Any]:
    return {
        "replacePathRegex": {"regex": f"^{escape_for_regex(route.path)}(.*)", "replacement": f"{route.base_path}$1"}
    }


def _service(route: Route) -> dict[str, Any]:
    url = f"{route.scheme}://{route.authority}"
    return {"loadBalancer": {"passHostHeader": False, "servers": [{"url": url}]}}
