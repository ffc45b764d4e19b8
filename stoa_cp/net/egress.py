"""Where nothing of ours may go, and how a name becomes addresses."""

import socket
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from queue import Empty, SimpleQueue
from threading import Thread

from django.conf import settings

RESOLVE_SECONDS = 2.0

# IANA's special-purpose registries (RFC 6890) and what they leave out. ``is_global`` lets some pass.
FORBIDDEN = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata service
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's metadata service, a public address
        "169.254.0.0/16",  # link-local; everybody else's metadata service
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata service
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "::/96",  # unspecified, loopback, IPv4-compatible
        "64:ff9b::/96",  # NAT64: an IPv4 address in disguise
        "64:ff9b:1::/48",  # local NAT64
        "100::/64",  # discard
        "2001::/23",  # Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fc00::/7",  # private; AWS's metadata service over IPv6
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local
        "ff00::/8",  # multicast
    )
)


class Unresolved(OSError):
    """The host's name has no address now, or none came in time."""


def addresses_of(host: str, port: int) -> tuple[str, ...]:
    """Return all addresses of a name, or the one that ``host`` is. Takes up to 2 s. Raises Unresolved."""
    return (host,) if is_address(host) else _look_up(host, port)


def is_forbidden(address: str) -> bool:
    """Tell whether we may not go to an IP address, given ``STOA_EGRESS_ALLOW``."""
    parsed = ip_address(address)
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    if _is_in(parsed, _networks(tuple(settings.STOA_EGRESS_ALLOW))):
        return False
    return _is_in(parsed, FORBIDDEN) or not parsed.is_global or parsed.is_multicast or parsed.is_reserved


def _is_in(address: IPv4Address | IPv6Address, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)


@lru_cache
def _networks(texts: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(text) for text in texts)


def is_address(host: str) -> bool:
    """Tell whether a host is written as an IP address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _look_up(name: str, port: int) -> tuple[str, ...]:
    """Ask the resolver in a thread of its own: getaddrinfo knows no deadline and cannot be interrupted."""
    answers: SimpleQueue[tuple[str, ...]] = SimpleQueue()
    Thread(target=_ask_resolver, args=(name, port, answers), name=f"resolve {name}", daemon=True).start()
    try:
        addresses = answers.get(timeout=RESOLVE_SECONDS)
    except Empty:
        raise Unresolved(name) from None
    if not addresses:
        raise Unresolved(name)
    return addresses


def _ask_resolver(name: str, port: int, answers: "SimpleQueue[tuple[str, ...]]") -> None:
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError:
        found = []
    answers.put(tuple(dict.fromkeys(str(entry[4][0]) for entry in found)))
