"""HAProxy: asks through a Lua action of ours, ``stoa.lua``, and calls the backend that the answer names."""

from apikeys.gateway.exporters.site import (
    IDENTITY_HEADERS,
    LIMIT_HEADERS,
    REFUSAL_HEADERS,
    ROUTING_HEADERS,
    UNAVAILABLE,
    Site,
    render_file,
)

TOLD = (*LIMIT_HEADERS, "Deprecation", "Sunset")  # with an answer of the upstream's


def export(site: Site) -> str:
    """Return an ``haproxy.cfg`` with a backend per API."""
    return render_file(
        "haproxy.cfg",
        site,
        token=site.token_or("${STOA_GATEWAY_TOKEN}"),
        copied=",".join(name.lower() for name in (*IDENTITY_HEADERS, *ROUTING_HEADERS, *TOLD)),
        refused=",".join(name.lower() for name in (*REFUSAL_HEADERS, *LIMIT_HEADERS)),
        routing=ROUTING_HEADERS,
        told=TOLD,
        unavailable=UNAVAILABLE,
    )
