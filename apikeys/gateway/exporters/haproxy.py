"""HAProxy: queries through a Lua action of ours, ``stoa.lua``, and uses the backend that the answer names.

Not through haproxy-auth-request: that is in no package registry and queries over plain HTTP only, so that the token
would go to an https control plane in the clear.
"""

from collections.abc import Iterator

from apikeys.gateway.exporters.site import (
    IDENTITY_HEADERS,
    LIMIT_HEADERS,
    REFUSAL_HEADERS,
    RESPONSE_HEADERS,
    ROUTING_HEADERS,
    UNAVAILABLE,
    Site,
    render_file,
)
from stoa_cp.db.portions import batched


def export(site: Site) -> Iterator[str]:
    """Yield an ``haproxy.cfg`` with a backend per API."""
    yield render_file(
        "haproxy.cfg",
        site,
        token=site.token_or("${STOA_GATEWAY_TOKEN}"),
        copied=",".join(name.lower() for name in (*IDENTITY_HEADERS, *ROUTING_HEADERS, *RESPONSE_HEADERS)),
        refused=",".join(name.lower() for name in (*REFUSAL_HEADERS, *LIMIT_HEADERS)),
        routing=ROUTING_HEADERS,
        response_headers=RESPONSE_HEADERS,
        unavailable=UNAVAILABLE,
    )
    for routes in batched(site.routes):
        yield render_file("haproxy-backends.cfg", site, routes=routes)
