"""Envoy: a bootstrap with ext_authz over HTTP, and a route and a cluster per API."""

from collections.abc import Iterator
from typing import Any

from apikeys.gateway.configuration import Route
from apikeys.gateway.exporters.sections import stream_yaml, write_sections
from apikeys.gateway.exporters.site import (
    IDENTITY_HEADERS,
    INTERNAL_HEADERS,
    LIMIT_HEADERS,
    REFUSAL_HEADERS,
    RESPONSE_HEADERS,
    ROUTING_HEADERS,
    UNAVAILABLE,
    Site,
)
from stoa_cp.net.urls import is_address

COMMENT = """
A STOA gateway for Envoy 1.30 or newer: a whole bootstrap. Put the gateway's token in place of ${STOA_GATEWAY_TOKEN},
with envsubst for one: Envoy does not read its environment. A new API needs this file again.
Envoy normalises paths and refuses encoded slashes before it queries, routes and forwards: all three see the same path.
"""
TYPE = "type.googleapis.com/envoy"
FILTERS = f"{TYPE}.extensions.filters.http"
CONTROL_PLANE = "stoa_control_plane"
UPSTREAM_TIMEOUT = "60s"  # as for the other gateways; Envoy's default is 15 s
DECISION_TIMEOUT = "2s"  # Envoy's default of 200 ms is too short for a control plane that has just started
# The decision is about the path: the query, which may hold secrets, is kept back meanwhile. In Lua, because ext_authz
# always sends the request's own path.
KEEP_QUERY_BACK = """
function envoy_on_request(handle)
  local path, query = (handle:headers():get(":path") or ""):match("^([^?]*)(.*)$")
  handle:headers():replace(":path", path)
  handle:streamInfo():dynamicMetadata():set("stoa", "query", query)
end
"""
# Our keys must not reach the upstream; another credential is the upstream's own. In Lua, because no other filter
# decides by a header's value.
AFTER_DECISION = """
function envoy_on_request(handle)
  local headers = handle:headers()
  headers:replace(":path", headers:get(":path") .. handle:streamInfo():dynamicMetadata():get("stoa")["query"])
  if (headers:get("x-api-key") or ""):find("^stoa_") then
    headers:remove("x-api-key")
  end
  if (headers:get("authorization") or ""):lower():find("^bearer +stoa_") then
    headers:remove("authorization")
  end
end
"""


def export(site: Site) -> Iterator[str]:
    """Yield a bootstrap in YAML."""
    sections = write_sections(site.routes, routes=_routes, clusters=lambda route: [_upstream_cluster(route, site)])
    trust_store = site.trust_store if site.uses_tls else ""
    control_plane = _cluster(CONTROL_PLANE, site.control_plane_host, site.control_plane_port, trust_store)
    document = {
        "static_resources": {
            "listeners": [_listener(site, sections["routes"].as_list)],
            "clusters": [control_plane, *sections["clusters"].as_list],
        }
    }
    return stream_yaml(document, COMMENT, sections)


def _listener(site: Site, routes: list[str]) -> dict[str, Any]:
    connections = f"{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    client_headers = (*IDENTITY_HEADERS, *ROUTING_HEADERS, *INTERNAL_HEADERS)
    manager = {
        "@type": connections,
        "stat_prefix": "stoa",
        # The caller is a client, not a proxy: its address is the connection's, X-Forwarded-For is not believed, and
        # x-envoy-* headers, which control retries and time-outs, are removed.
        "use_remote_address": True,
        # A client that does not finish its headers holds a connection. Not request_timeout: it is a time for the whole
        # body, and would end every long upload. A body that stands still ends by stream_idle_timeout, 5 minutes.
        "request_headers_timeout": "10s",
        # The same path for the decision, the choice of a route and the upstream.
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        # An upstream that reads _ as - would read X_Stoa_Tenant as X-Stoa-Tenant.
        "common_http_protocol_options": {"headers_with_underscores_action": "DROP_HEADER"},
        # To no other protocol: a tunnel of h2c would carry any number of calls that are never decided on.
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        # Before the filters: ext_authz adds headers of these names from the answer, and they must be the only ones.
        "early_header_mutation_extensions": [_early_header_removal(client_headers)],
        "route_config": {"virtual_hosts": [{"name": "stoa", "domains": ["*"], "routes": [*routes, _fallback_route()]}]},
        "local_reply_config": {"mappers": [_unavailable_reply()]},
        "http_filters": [
            _lua_filter(KEEP_QUERY_BACK),
            _decision_filter(site),
            _lua_filter(AFTER_DECISION),
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


def _unavailable_reply() -> dict[str, Any]:
    """Return the mapper that puts the envelope of our errors into a 503 of Envoy's own."""
    comparison = {"op": "EQ", "value": {"default_value": 503, "runtime_key": "stoa.unavailable"}}
    return {
        "filter": {"status_code_filter": {"comparison": comparison}},
        "headers_to_add": [{"header": {"key": "retry-after", "value": "2"}}],
        "body_format_override": {
            "text_format_source": {"inline_string": UNAVAILABLE},
            "content_type": "application/json",
        },
    }


def _early_header_removal(names: tuple[str, ...]) -> dict[str, Any]:
    mutation = f"{TYPE}.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {"@type": mutation, "mutations": [{"remove": name.lower()} for name in names]},
    }


def _filter(name: str, kind: str, **config: Any) -> dict[str, Any]:
    return {"name": f"envoy.filters.http.{name}", "typed_config": {"@type": kind} | config}


def _lua_filter(script: str) -> dict[str, Any]:
    return _filter("lua", f"{FILTERS}.lua.v3.Lua", default_source_code={"inline_string": script})


def _decision_filter(site: Site) -> dict[str, Any]:
    scheme = "https" if site.uses_tls else "http"
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
            "allowed_upstream_headers": _exact_names(IDENTITY_HEADERS),
            "allowed_client_headers": _exact_names((*REFUSAL_HEADERS, *LIMIT_HEADERS)),
            "allowed_client_headers_on_success": _exact_names(RESPONSE_HEADERS),
        },
    }
    return _filter(
        "ext_authz",
        f"{FILTERS}.ext_authz.v3.ExtAuthz",
        transport_api_version="V3",
        # Without an answer no call passes. The default status, 403, would tell the caller that its key is refused.
        failure_mode_allow=False,
        status_on_error={"code": "ServiceUnavailable"},
        allowed_headers=_exact_names(("X-API-Key", "Authorization", "Accept-Language", "X-Forwarded-For")),
        http_service=service,
    )


def _exact_names(names: tuple[str, ...]) -> dict[str, Any]:
    return {"patterns": [{"exact": name.lower(), "ignore_case": True} for name in names]}


def _routes(route: Route) -> list[dict[str, Any]]:
    """Return an entry for the route's own path, and one for the paths below it: /pay must not match /payments."""
    return [
        _route_entry({"path": route.path}, route.base_path or "/", route),
        _route_entry({"prefix": f"{route.path}/"}, f"{route.base_path}/", route),
    ]


def _route_entry(match: dict[str, str], rewritten: str, route: Route) -> dict[str, Any]:
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
    """Return the entry for all other paths.

    Without it Envoy would answer 404 before ext_authz runs. So a refusal has its reason, and a call that is allowed,
    because its API is newer than this file, gets a 503.
    """
    return {"match": {"prefix": "/"}, "direct_response": {"status": 503}}


def _upstream_cluster(route: Route, site: Site) -> dict[str, Any]:
    return _cluster(route.api_id, route.host, route.port, site.system_ca_file if route.scheme == "https" else "")


def _cluster(name: str, host: str, port: int, trust_store: str) -> dict[str, Any]:
    """Return a cluster of one host, with TLS if ``trust_store`` names the authorities that may certify the host."""
    endpoint = {"endpoint": {"address": _address(host, port)}}
    cluster: dict[str, Any] = {
        "name": name,
        "type": "STRICT_DNS",
        # The default takes only the IPv6 addresses of a name that has both kinds, as localhost has: a server that
        # listens on IPv4 alone would never be reached.
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    if trust_store:
        cluster["transport_socket"] = _tls_socket(host, trust_store)
    return cluster


def _tls_socket(host: str, trust_store: str) -> dict[str, Any]:
    kind = "IP_ADDRESS" if is_address(host) else "DNS"
    validation = {
        "trusted_ca": {"filename": trust_store},
        # trusted_ca alone accepts a certificate for any name.
        "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": host}}],
    }
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{TYPE}.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": "" if kind == "IP_ADDRESS" else host,  # RFC 6066 §3 allows no address
            "common_tls_context": {"validation_context": validation},
        },
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
