"""APISIX: a standalone ``apisix.yaml`` with a route per API behind ``forward-auth``."""

from typing import Any

from apikeys.gateway.configuration import Route
from apikeys.gateway.exporters.site import (
    FOREIGN_HEADERS,
    IDENTITY_HEADERS,
    IDENTITY_SPELLINGS,
    LIMIT_HEADERS,
    REFUSAL_HEADERS,
    ROUTING_HEADERS,
    TOKEN_HEADER,
    Site,
    dump_yaml,
    quoted,
)

COMMENT = """
A STOA gateway for APISIX 3.7 or newer in standalone mode: conf/apisix.yaml. The token stands in APISIX's environment,
STOA_GATEWAY_TOKEN, which `nginx_config: envs` in conf/config.yaml must name. A new API needs this file again.
"""
END = "#END\n"  # APISIX reads a file only if it ends so
TIMEOUT_MS = 2000
# When forward-auth has asked: in most releases it does so after proxy-rewrite, which must leave the key where it is.
# Any other credential is the upstream's own business.
STRIP_API_KEYS = """return function()
  for name, pattern in pairs({["x-api-key"] = "^stoa_", ["authorization"] = "^bearer +stoa_"}) do
    local values = ngx.req.get_headers()[name] or {}
    for _, value in ipairs(type(values) == "table" and values or {values}) do
      if value:lower():find(pattern) then ngx.req.clear_header(name) end
    end
  end
end"""
BEFORE_FORWARD_AUTH = 2002 + 1  # the plugin's own priority is 2002


def export(site: Site) -> str:
    """Return the whole file."""
    return dump_yaml({"routes": [_route(route, site) for route in site.routes]}, COMMENT) + END


def _route(route: Route, site: Site) -> dict[str, Any]:
    path = quoted(route.path)
    return {
        "id": route.api_id,
        "name": f"{route.tenant}-{route.name}",
        # By whole segments: /pay is no prefix of /payments.
        "uris": [route.path, f"{route.path}/*"],
        "priority": len(route.path),
        "plugins": {
            "serverless-pre-function": _removal(),
            "forward-auth": _decision(site),
            "proxy-rewrite": {
                "regex_uri": [f"^{path}/(.*)$", f"{route.base_path}/$1", f"^{path}$", route.base_path or "/"],
            },
            "serverless-post-function": {"phase": "access", "functions": [STRIP_API_KEYS]},
        },
        "upstream": {
            "type": "roundrobin",
            "scheme": route.scheme,
            "nodes": {f"{route.host}:{route.port}": 1},
            "pass_host": "rewrite",
            "upstream_host": route.authority,
        },
    }


def _removal() -> dict[str, Any]:
    """Return a plugin that takes away what a client claims: older releases keep it where the answer says nothing."""
    names = ", ".join(f'"{name}"' for name in (*IDENTITY_SPELLINGS, *ROUTING_HEADERS, *FOREIGN_HEADERS))
    function = f"return function() for _, name in ipairs({{{names}}}) do ngx.req.clear_header(name) end end"
    return {"_meta": {"priority": BEFORE_FORWARD_AUTH}, "phase": "rewrite", "functions": [function]}


def _decision(site: Site) -> dict[str, Any]:
    return {
        "uri": f"{site.control_plane_url}/v1/gateway/authorize",
        "request_headers": ["X-API-Key", "Authorization", "Accept-Language"],
        "extra_headers": {TOKEN_HEADER: site.token_or("${{STOA_GATEWAY_TOKEN}}")},
        "upstream_headers": list(IDENTITY_HEADERS),
        "client_headers": [*REFUSAL_HEADERS, *LIMIT_HEADERS],
        "timeout": TIMEOUT_MS,
        "status_on_error": 503,
        "allow_degradation": False,
    }
