"""Which IP addresses our own requests must not reach, and the resolution of host names with a time-out.

Tenants choose the URLs of webhooks. Without this check, a URL could make us call services that only our network
reaches: databases, the cloud provider's metadata service, ourselves (server-side request forgery).
"""

import socket
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from queue import Empty, SimpleQueue
from threading import Thread

from django.conf import settings

# Registering a webhook waits for this, and so does each delivery. A delivery has 15 s in total.
RESOLVE_SECONDS = 2.0

# IANA's special-purpose address registries (RFC 6890), and the addresses of cloud metadata services. The standard
# library's ``is_global`` is not enough: it is true for 168.63.129.16, for 64:ff9b::a9fe:a9fe (169.254.169.254 behind
# NAT64), for multicast, and on older Pythons for 2002::/16.
FORBIDDEN = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # "this host" (RFC 1122 §3.2.1.3); Linux connects to loopback
        "10.0.0.0/8",  # private (RFC 1918)
        "100.64.0.0/10",  # carrier-grade NAT (RFC 6598); Alibaba's metadata service
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's metadata service, a public address
        "169.254.0.0/16",  # link-local (RFC 3927); the metadata service of the other clouds
        "172.16.0.0/12",  # private (RFC 1918)
        "192.0.0.0/24",  # protocol assignments (RFC 6890); Oracle's metadata service
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "192.168.0.0/16",  # private (RFC 1918)
        "198.18.0.0/15",  # benchmarks (RFC 2544)
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved (RFC 1112 §4), broadcast
        "::/96",  # unspecified, loopback, IPv4-compatible
        "64:ff9b::/96",  # NAT64 (RFC 6052): contains an IPv4 address
        "64:ff9b:1::/48",  # local NAT64 (RFC 8215)
        "100::/64",  # discard (RFC 6666)
        "2001::/23",  # Teredo, ORCHID, benchmarks (RFC 2928)
        "2001:db8::/32",  # documentation (RFC 3849)
        "2002::/16",  # 6to4 (RFC 3056): contains an IPv4 address
        "3fff::/20",  # documentation (RFC 9637)
        "5f00::/16",  # segment routing (RFC 9602)
        "fc00::/7",  # private (RFC 4193); AWS's metadata service over IPv6
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local (RFC 3879)
        "ff00::/8",  # multicast
    )
)


class Unresolved(OSError):
    """The host name has no address at present, or the resolver did not answer within ``RESOLVE_SECONDS``."""


def addresses_of(host: str, port: int) -> tuple[str, ...]:
    """Return all addresses of a host name; an IP address is returned as it is. Takes up to 2 s. Raises Unresolved."""
    return (host,) if is_address(host) else _look_up(host, port)


def is_forbidden(address: str) -> bool:
    """Tell whether our requests must not reach an IP address. ``STOA_EGRESS_ALLOW`` makes exceptions."""
    parsed = ip_address(address)
    # ::ffff:127.0.0.1 connects to 127.0.0.1.
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    if _is_in(parsed, _networks(tuple(settings.STOA_EGRESS_ALLOW))):
        return False
    # The library's flags as well: they learn of ranges that are reserved after this table was written.
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
    """Resolve a name in another thread: getaddrinfo() has no time-out and cannot be interrupted.

    After the time-out the thread stays until the resolver gives up, and its result is dropped.
    """
    answers: SimpleQueue[tuple[str, ...]] = SimpleQueue()
    Thread(target=_resolve, args=(name, port, answers), name=f"resolve {name}", daemon=True).start()
    try:
        addresses = answers.get(timeout=RESOLVE_SECONDS)
    except Empty:
        raise Unresolved(name) from None
    if not addresses:
        raise Unresolved(name)
    return addresses


def _resolve(name: str, port: int, answers: "SimpleQueue[tuple[str, ...]]") -> None:
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError:
        found = []
    # getaddrinfo() repeats an address for each protocol. dict.fromkeys keeps the resolver's order, which prefers the
    # addresses that this machine reaches best (RFC 6724).
    answers.put(tuple(dict.fromkeys(str(entry[4][0]) for entry in found)))
