"""Envoy: a bootstrap with ext_authz over HTTP, and a route and a cluster per API."""

from typing import Any

from apikeys.configuration import Route
from apikeys.exporters.site import (
    FOREIGN_HEADERS,
    IDENTITY_HEADERS,
    LIMIT_HEADERS,
    REFUSAL_HEADERS,
    ROUTING_HEADERS,
    Site,
    dump_yaml,
)

COMMENT = """
A STOA gateway for Envoy 1.30 or newer: a whole bootstrap. Put the gateway's token in place of ${STOA_GATEWAY_TOKEN},
with envsubst for one: Envoy does not read its environment. A new API needs this file again.
It asks with the Host of the original call: the control plane's STOA_ALLOWED_HOSTS must name the gateway's hosts.
Envoy normalises paths and refuses encoded slashes before it asks, routes and forwards: all three see the same path.
"""
TYPE = "type.googleapis.com/envoy"
CONTROL_PLANE = "stoa_control_plane"
TRUST_STORE = "/etc/ssl/certs/ca-certificates.crt"
DECISION_TIMEOUT = "2s"  # Envoy's default of 200 ms is less than a control plane takes that has just been started


def export(site: Site) -> str:
    """Return a bootstrap in YAML."""
    clusters = [
        _cluster(CONTROL_PLANE, site.control_plane_host, site.control_plane_port, tls=site.speaks_tls),
        *(_cluster(route.api_id, route.host, route.port, tls=route.scheme == "https") for route in site.routes),
    ]
    return dump_yaml({"static_resources": {"listeners": [_listener(site)], "clusters": clusters}}, COMMENT)


def _listener(site: Site) -> dict[str, Any]:
    connections = f"{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    foreign = (*IDENTITY_HEADERS, *ROUTING_HEADERS, *FOREIGN_HEADERS)
    manager = {
        "@type": connections,
        "stat_prefix": "stoa",
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "common_http_protocol_options": {"headers_with_underscores_action": "DROP_HEADER"},
        # Before the filters, so that none of these is the client's when ext_authz adds the answer's.
        "early_header_mutation_extensions": [_early_removal(foreign)],
        "route_config": {
            "virtual_hosts": [
                {"name": "stoa", "domains": ["*"], "routes": [each for route in site.routes for each in _routes(route)]}
            ]
        },
        "http_filters": [_decision_filter(site), _filter("router", f"{TYPE}.extensions.filters.http.router.v3.Router")],
    }
    return {
        "name": "stoa",
        "address": _address(site.listen_host or "0.0.0.0", site.listen_port),  # noqa: S104 - a gateway is public
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _early_removal(names: tuple[str, ...]) -> dict[str, Any]:
    mutation = f"{TYPE}.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {"@type": mutation, "mutations": [{"remove": name.lower()} for name in names]},
    }


def _filter(name: str, kind: str, **config: Any) -> dict[str, Any]:
    return {"name": f"envoy.filters.http.{name}", "typed_config": {"@type": kind} | config}


def _decision_filter(site: Site) -> dict[str, Any]:
    scheme = "https" if site.speaks_tls else "http"
    token = site.token_or("${STOA_GATEWAY_TOKEN}")
    service = {
        "server_uri": {
            "uri": f"{scheme}://{site.control_plane}",
            "cluster": CONTROL_PLANE,
            "timeout": DECISION_TIMEOUT,
        },
        "path_prefix": "/v1/gateway/authorize/envoy",
        "authorization_request": {"headers_to_add": [{"key": "x-stoa-gateway-token", "value": token}]},
        "authorization_response": {
            "allowed_upstream_headers": _patterns(IDENTITY_HEADERS),
            "allowed_client_headers": _patterns((*REFUSAL_HEADERS, *LIMIT_HEADERS)),
            "allowed_client_headers_on_success": _patterns((*LIMIT_HEADERS, "Deprecation", "Sunset")),
        },
    }
    return _filter(
        "ext_authz",
        f"{TYPE}.extensions.filters.http.ext_authz.v3.ExtAuthz",
        transport_api_version="V3",
        failure_mode_allow=False,
        status_on_error={"code": "ServiceUnavailable"},
        allowed_headers=_patterns(("X-API-Key", "Authorization", "Accept-Language")),
        http_service=service,
    )


def _patterns(names: tuple[str, ...]) -> dict[str, Any]:
    return {"patterns": [{"exact": name.lower(), "ignore_case": True} for name in names]}


def _routes(route: Route) -> list[dict[str, Any]]:
    """Return the route's own path and what is below it: /pay is no prefix of /payments."""
    return [
        _match({"path": route.path}, route.base_path or "/", route),
        _match({"prefix": f"{route.path}/"}, f"{route.base_path}/", route),
    ]


def _match(match: dict[str, str], rewritten: str, route: Route) -> dict[str, Any]:
    return {
        "match": match,
        "route": {"cluster": route.api_id, "host_rewrite_literal": route.authority, "prefix_rewrite": rewritten},
        "request_headers_to_remove": ["x-api-key"],
    }


def _cluster(name: str, host: str, port: int, *, tls: bool) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(host, port)}}
    cluster: dict[str, Any] = {
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    if tls:
        kind = f"{TYPE}.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
        context = {"validation_context": {"trusted_ca": {"filename": TRUST_STORE}}}
        cluster["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {"@type": kind, "sni": host, "common_tls_context": context},
        }
    return cluster


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
