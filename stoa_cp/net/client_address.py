"""The IP address of the client that sent a request, behind trusted proxies."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from stoa_cp.net.addresses import is_within

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def client_address(request: HttpRequest) -> str:
    """Return the rightmost address of ``X-Forwarded-For`` that is not one of ``STOA_TRUSTED_PROXIES``.

    Each trusted proxy appends the address that it was called from. Everything left of the first address that is not a
    trusted proxy was sent by the client and may be invented. Anonymous calls and logins are limited by this address.
    """
    return str(sender_address(request.META))


def sender_address(meta: Mapping[str, Any]) -> Address:
    """Return the same address, from the headers of a request as WSGI spells them."""
    return _parse(_read_hops(meta)[0])


def forwarded_address(meta: Mapping[str, Any]) -> Address | None:
    """Return the address that our client was called from, as it reports it: the last hop that it sent itself.

    For gateways, which are authenticated and so believed. Not the last hop of the header as it arrives: behind a
    proxy of ours that is the gateway's own address, and a key for the gateway's network would be one for everybody.
    None if it reports none, or something that is no address.
    """
    _client, hops = _read_hops(meta)
    return parse_address(hops[-1]) if hops else None


def parse_address(text: str) -> Address | None:
    """Parse an address without its zone, and ``::ffff:192.0.2.1`` as IPv4: None if it is invalid."""
    try:
        return _parse(text)
    except ValueError:
        return None


def _read_hops(meta: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the client's address, and the hops that the client sent: all but those that trusted proxies appended."""
    address = meta.get("REMOTE_ADDR") or "0.0.0.0"  # noqa: S104 - a Unix socket has no address
    hops = [hop.strip() for hop in meta.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    # What is no address ends it: the proxy in front of it is the last address that we can be sure of.
    while hops and is_within(address, settings.STOA_TRUSTED_PROXIES) and parse_address(hops[-1]):
        address = hops.pop()
    return address, hops


def client_network(request: HttpRequest) -> str:
    """Return what counts as one caller: an IPv4 address, or the /64 of an IPv6 address.

    A network operator gives each customer at least a /64 (RFC 6177): per address, one caller would have 2⁶⁴ limits.
    """
    address = sender_address(request.META)
    return str(address) if isinstance(address, IPv4Address) else str(ip_network((address, 64), strict=False))


def _parse(text: str) -> Address:
    """Parse as ``parse_address`` does. Raises ValueError."""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        # The number alone has no zone.
        return address.ipv4_mapped or IPv6Address(int(address))
    return address
