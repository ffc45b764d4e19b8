"""The IP address of the client that sent a request, behind trusted proxies."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the rightmost address of ``X-Forwarded-For`` that is not one of ``STOA_TRUSTED_PROXIES``.

    Each trusted proxy appends the address that it was called from. Everything left of the first address that is not a
    trusted proxy was sent by the client and may be invented. Anonymous calls and logins are limited by this address.
    """
    address = request.META.get("REMOTE_ADDR") or "0.0.0.0"  # noqa: S104 - a Unix socket has no address
    for hop in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
        if not _is_trusted_proxy(address):
            break
        if not _is_address(hop.strip()):  # the proxy in front of it is the last address that we can be sure of
            break
        address = hop.strip()
    return str(_parse(address))


def client_network(request: HttpRequest) -> str:
    """Return what counts as one caller: an IPv4 address, or the /64 of an IPv6 address.

    A network operator gives each customer at least a /64 (RFC 6177): per address, one caller would have 2⁶⁴ limits.
    """
    address = _parse(client_address(request))
    return str(address) if isinstance(address, IPv4Address) else str(ip_network((address, 64), strict=False))


def _parse(text: str) -> IPv4Address | IPv6Address:
    """Parse an address without its zone, and ``::ffff:192.0.2.1`` as IPv4: one client must not have two limits."""
    address = ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _is_trusted_proxy(address: str) -> bool:
    return any(_parse(address) in network for network in _networks(tuple(settings.STOA_TRUSTED_PROXIES)))


@lru_cache  # parsed once per value of the setting, as this runs for every request
def _networks(texts: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(text) for text in texts)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
