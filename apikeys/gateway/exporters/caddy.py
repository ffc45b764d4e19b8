"""Caddy: asks with ``forward_auth``, and sends the call where the answer says."""

from apikeys.gateway.exporters.site import (
    IDENTITY_HEADERS,
    LIMIT_HEADERS,
    ROUTING_HEADERS,
    UNAVAILABLE,
    Site,
    render_file,
)

SENT_BACK = ("Deprecation", "Sunset", *LIMIT_HEADERS)


def export(site: Site) -> str:
    """Return a Caddyfile."""
    return render_file(
        "Caddyfile",
        site,
        token=site.token_or("{$STOA_GATEWAY_TOKEN}"),
        copied=(*IDENTITY_HEADERS, *ROUTING_HEADERS),
        sent_back=SENT_BACK,
        unavailable=UNAVAILABLE,
        withheld=(*ROUTING_HEADERS, *(f"X-Stoa-{name}" for name in SENT_BACK)),
    )
