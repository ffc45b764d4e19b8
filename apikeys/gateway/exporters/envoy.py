"""Envoy: a bootstrap with ext_authz over HTTP, and a route and a cluster per API."""

from typing import Any

from apikeys.gateway.configuration import Route
from apikeys.gateway.exporters.site import (
    FOREIGN_HEADERS,
    IDENTITY_HEADERS,
    LIMIT_HEADERS,
    REFUSAL_HEADERS,
    ROUTING_HEADERS,
    UNAVAILABLE,
    Site,
    dump_yaml,
)

COMMENT = """
A STOA gateway for Envoy 1.30 or newer: a whole bootstrap. Put the gateway's token in place of ${STOA_GATEWAY_TOKEN},
with envsubst for one: Envoy does not read its environment. A new API needs this file again.
Envoy normalises paths and refuses encoded slashes before it asks, routes and forwards: all three see the same path.
"""
TYPE = "type.googleapis.com/envoy"
FILTERS = f"{TYPE}.extensions.filters.http"
CONTROL_PLANE = "stoa_control_plane"
TRUST_STORE = "/etc/ssl/certs/ca-certificates.crt"
UPSTREAM_TIMEOUT = "60s"  # as the other gateways have it; Envoy's own is 15 s
DECISION_TIMEOUT = "2s"  # Envoy's default of 200 ms is less than a control plane takes that has just been started
# No other filter looks at a header's value. Any other credential is the upstream's own business.
STRIP_API_KEYS = """
function envoy_on_request(handle)
  local headers = handle:headers()
  if (headers:get("x-api-key") or ""):find("^stoa_") then
    headers:remove("x-api-key")
  end
  if (headers:get("authorization") or ""):lower():find("^bearer +stoa_") then
    headers:remove("authorization")
  end
end
"""


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
    routes = [each for route in site.routes for each in _routes(route)]
    manager = {
        "@type": connections,
        "stat_prefix": "stoa",
        # We stand at the edge: the caller's address is the connection's, and no client gives Envoy orders in x-envoy-*.
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "common_http_protocol_options": {"headers_with_underscores_action": "DROP_HEADER"},
        # Before the filters, so that none of these is the client's when ext_authz adds the answer's.
        "early_header_mutation_extensions": [_early_removal(foreign)],
        "route_config": {"virtual_hosts": [{"name": "stoa", "domains": ["*"], "routes": [*routes, _fallback_route()]}]},
        "local_reply_config": {"mappers": [_unavailable()]},
        "http_filters": [
            _decision_filter(site),
            _filter("lua", f"{FILTERS}.lua.v3.Lua", default_source_code={"inline_string": STRIP_API_KEYS}),
            _filter("router", f"{FILTERS}.router.v3.Router"),
        ],
    }
    return {
        "name": "stoa",
        "address": _address(site.listen_host or "0.0.0.0", site.listen_port),  # noqa: S104 - a gateway is public
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _unavailable() -> dict[str, Any]:
    """Return what a caller is told where Envoy itself says 503."""
    comparison = {"op": "EQ", "value": {"default_value": 503, "runtime_key": "stoa.unavailable"}}
    return {
        "filter": {"status_code_filter": {"comparison": comparison}},
        "headers_to_add": [{"header": {"key": "retry-after", "value": "2"}}],
        "body_format_override": {
            "text_format_source": {"inline_string": UNAVAILABLE},
            "content_type": "application/json",
        },
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
        f"{FILTERS}.ext_authz.v3.ExtAuthz",
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
        "route": {
            "cluster": route.api_id,
            "host_rewrite_literal": route.authority,
            "prefix_rewrite": rewritten,
            "timeout": UPSTREAM_TIMEOUT,
        },
    }


def _fallback_route() -> dict[str, Any]:
    """Return where all else goes: a refusal says why, and an API that is newer than the file is a 503."""
    return {"match": {"prefix": "/"}, "direct_response": {"status": 503}}


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
