"""Checks the URLs that tenants let us send requests to (protection against SSRF).

A check at registration is not enough: its owner can point a name to 127.0.0.1 afterwards (DNS rebinding). So each send
resolves the name again, checks all addresses with ``vetted_addresses``, and connects to one of these, by its number.
"""

from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from stoa_cp.net.egress import Unresolved, addresses_of, is_forbidden
from stoa_cp.net.urls import DEFAULT_PORTS, UrlRefused, parse_url

# Below 1024 are the services that a forged request could talk to, such as SSH (22) and SMTP (25).
FIRST_UNPRIVILEGED_PORT, LAST_PORT = 1024, 65535


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: the parts of a URL that we may send to."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of the ``Host`` header: IPv6 in brackets, no default port (RFC 9110 §7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_target(url: str) -> Target:
    """Parse a URL to send to. Uses no network. Raises UrlRefused with the reason."""
    parts = parse_url(url)
    if "#" in parts.path:
        raise UrlRefused(_("The URL must not have a fragment."))
    scheme = _allowed_scheme(parts.scheme)
    return Target(
        scheme=scheme,
        host=parts.host,
        port=_allowed_port(DEFAULT_PORTS[scheme] if parts.port is None else parts.port),
        path=parts.path if parts.path.startswith("/") else f"/{parts.path}",
    )


def check_url(url: str) -> None:
    """Raise UrlRefused if we would never send to the URL. Takes up to 2 s: call it outside of transactions.

    A name without an address is accepted. A new host may not be in the DNS yet, and each send resolves it again.
    """
    try:
        vetted_addresses(parse_target(url))
    except Unresolved:
        return


def vetted_addresses(target: Target) -> tuple[str, ...]:
    """Resolve the host and return all of its addresses, if all are allowed.

    Raises UrlRefused if only one of them is forbidden: the connection might use that one.
    Raises Unresolved if there is none.
    """
    addresses = addresses_of(target.host, target.port)
    if any(is_forbidden(address) for address in addresses):
        raise UrlRefused(_("The host is not on the public Internet."))
    return addresses


def _allowed_scheme(scheme: str) -> str:
    if scheme == "https" or (scheme == "http" and settings.STOA_ALLOW_HTTP_WEBHOOKS):
        return scheme
    raise UrlRefused(_("The URL must begin with https://."))


def _allowed_port(port: int) -> int:
    if port in DEFAULT_PORTS.values() or FIRST_UNPRIVILEGED_PORT <= port <= LAST_PORT:
        return port
    raise UrlRefused(_("The port must be 443, 80 or between 1024 and 65535."))
