"""Where a call comes from, as far as it can be believed."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the caller's address: the rightmost of ``X-Forwarded-For`` that is none of our own proxies.

    Everything left of it was written by the caller and may be a lie.
    """
    address = request.META.get("REMOTE_ADDR") or "0.0.0.0"  # noqa: S104 - a Unix socket has no address
    for hop in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
        if not _is_trusted_proxy(address):
            break
        if not _is_address(hop.strip()):
            break
        address = hop.strip()
    return str(_parse(address))


def _parse(text: str) -> IPv4Address | IPv6Address:
    """Read an address in any spelling, so that one caller has one: no zone, and no IPv6 around an IPv4 address."""
    address = ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _is_trusted_proxy(address: str) -> bool:
    return any(_parse(address) in network for network in _networks(tuple(settings.STOA_TRUSTED_PROXIES)))


@lru_cache
def _networks(texts: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(text) for text in texts)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
