"""APISIX: a standalone ``apisix.yaml`` with a route per API behind ``forward-auth``."""

from collections.abc import Iterator
from typing import Any

from apikeys.gateway.configuration import Route
from apikeys.gateway.exporters.openresty import KEEP_PATH, ONLY_WEBSOCKETS, REMOVE_CLIENT_HEADERS
from apikeys.gateway.exporters.sections import stream_yaml, write_sections
from apikeys.gateway.exporters.site import (
    IDENTITY_HEADERS,
    LIMIT_HEADERS,
    REFUSAL_HEADERS,
    TOKEN_HEADER,
    Site,
    escape_for_regex,
)

COMMENT = """
A STOA gateway for APISIX 3.7 or newer in standalone mode: conf/apisix.yaml. The token stands in APISIX's environment,
STOA_GATEWAY_TOKEN, which `nginx_config: envs` in conf/config.yaml must name. A new API needs this file again.
"""
CA_COMMENT = "`apisix: ssl: ssl_trusted_certificate` in conf/config.yaml must name {}, or no call passes."
END = "#END\n"  # APISIX reads a file only if it ends so
TIMEOUT_MS = 2000
# Our keys must not reach the upstream; another credential is the upstream's own. Removed after forward-auth, which
# needs the key. Not by proxy-rewrite: in most releases of APISIX it runs before forward-auth, and then every call lacks
# its key.
AFTER_DECISION = """return function()
  ngx.req.clear_header("X-Stoa-Uri")
  for name, pattern in pairs({["x-api-key"] = "^stoa_", ["authorization"] = "^bearer +stoa_"}) do
    local values = ngx.req.get_headers()[name] or {}
    for _, value in ipairs(type(values) == "table" and values or {values}) do
      if value:lower():find(pattern) then ngx.req.clear_header(name) end
    end
  end
end"""
# Plugins run by descending priority; that of forward-auth is 2002.
BEFORE_FORWARD_AUTH = 2002 + 1


def export(site: Site) -> Iterator[str]:
    """Yield the whole file."""
    # APISIX has one file of trusted authorities for all, and it is in the other configuration file.
    comment = COMMENT + (CA_COMMENT.format(site.ca_file) if site.uses_tls and site.ca_file else "")
    sections = write_sections(site.routes, routes=lambda route: [_route(route, site)])
    yield from stream_yaml({"routes": sections["routes"].as_list}, comment, sections)
    yield END


def _route(route: Route, site: Site) -> dict[str, Any]:
    path = escape_for_regex(route.path)
    return {
        "id": route.api_id,
        # By whole segments: /pay is no prefix of /payments.
        "uris": [route.path, f"{route.path}/*"],
        "priority": len(route.path),
        # Passes any Upgrade and Connection on; the plugin before has left those of websockets.
        "enable_websocket": True,
        "plugins": {
            "serverless-pre-function": _clean_request(),
            "forward-auth": _forward_auth(site),
            "proxy-rewrite": {
                "regex_uri": [f"^{path}/(.*)$", f"{route.base_path}/$1", f"^{path}$", route.base_path or "/"],
            },
            "serverless-post-function": {"phase": "access", "functions": [AFTER_DECISION]},
        },
        "upstream": {
            "type": "roundrobin",
            "scheme": route.scheme,
            "nodes": {f"{route.host}:{route.port}": 1},
            # The upstream's own host: most upstreams do not serve the gateway's.
            "pass_host": "rewrite",
            "upstream_host": route.authority,
        },
    }


def _clean_request() -> dict[str, Any]:
    """Return the plugin that removes what no client may send, X-Stoa-* first of all.

    forward-auth alone does not: in older releases a client's header stays if the answer has none of that name.
    """
    function = f"return function()\n{REMOVE_CLIENT_HEADERS}{ONLY_WEBSOCKETS}{KEEP_PATH}end"
    return {"_meta": {"priority": BEFORE_FORWARD_AUTH}, "phase": "rewrite", "functions": [function]}


def _forward_auth(site: Site) -> dict[str, Any]:
    return {
        "uri": f"{site.control_plane_url}/v1/gateway/authorize",
        "request_headers": ["X-API-Key", "Authorization", "Accept-Language"],
        "extra_headers": {
            TOKEN_HEADER: site.token_or("${{STOA_GATEWAY_TOKEN}}"),
            "X-Forwarded-Uri": "$http_x_stoa_uri",
        },
        "upstream_headers": list(IDENTITY_HEADERS),
        "client_headers": [*REFUSAL_HEADERS, *LIMIT_HEADERS],
        "timeout": TIMEOUT_MS,
        "ssl_verify": True,  # the default, and what everything here rests on
        # Without an answer no call passes. The default status, 403, would tell the caller that its key is refused.
        "status_on_error": 503,
        "allow_degradation": False,
    }
