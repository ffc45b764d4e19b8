"""Caddy: queries with ``forward_auth``, and sends the call where the answer says."""

from collections.abc import Iterator

from apikeys.gateway.exporters.site import (
    IDENTITY_HEADERS,
    RESPONSE_HEADERS,
    ROUTING_HEADERS,
    UNAVAILABLE,
    Site,
    render_file,
)


def export(site: Site) -> Iterator[str]:
    """Yield a Caddyfile."""
    yield render_file(
        "Caddyfile",
        site,
        token=site.token_or("{$STOA_GATEWAY_TOKEN}"),
        copied=(*IDENTITY_HEADERS, *ROUTING_HEADERS),
        response_headers=RESPONSE_HEADERS,
        unavailable=UNAVAILABLE,
        withheld=(*ROUTING_HEADERS, "X-Stoa-Uri", *(f"X-Stoa-{name}" for name in RESPONSE_HEADERS)),
    )
