"""Which kinds of IP addresses there are: public ones, and those of the machine itself and of its cloud.

An address may contain another: ``::ffff:127.0.0.1`` and, behind a translator, ``64:ff9b::7f00:1`` lead to 127.0.0.1.
"""

import socket
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

# IANA's special-purpose address registries (RFC 6890), and the addresses of cloud metadata services. The standard
# library's ``is_global`` is not enough: it is true for 168.63.129.16, for 64:ff9b::a9fe:a9fe (169.254.169.254 behind
# NAT64), for multicast, and on older Pythons for 2002::/16.
NOT_PUBLIC = tuple(
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


# What belongs to the machine that connects, and not to a network behind it.
LOCAL = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # "this host"; Linux connects to loopback
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local; the metadata service of most clouds
        "100.100.100.200/32",  # Alibaba's metadata service
        "168.63.129.16/32",  # Azure's
        "192.0.0.192/32",  # Oracle's
        "::/127",  # unspecified, loopback
        "fe80::/10",  # link-local
        "fd00:ec2::/32",  # AWS: metadata, DNS and time of an instance
        "fd20:ce::254/128",  # Google's metadata service
    )
)
# IPv6 addresses that hold an IPv4 address in their last 32 bits.
EMBEDDING = tuple(
    IPv6Network(network)
    for network in (
        "::/96",  # IPv4-compatible (RFC 4291 §2.5.5.1)
        "::ffff:0:0/96",  # IPv4-mapped (RFC 4291 §2.5.5.2): the system connects over IPv4
        "::ffff:0:0:0/96",  # IPv4-translated (RFC 7915)
        "64:ff9b::/96",  # NAT64 (RFC 6052)
        "64:ff9b:1::/48",  # local NAT64 (RFC 8215), in its usual form
    )
)


def is_public(address: str) -> bool:
    """Tell whether an address is on the public Internet."""
    parsed = _parse(address)
    # The library's flags as well: they learn of ranges that are reserved after this table was written.
    return not _is_in(parsed, NOT_PUBLIC) and parsed.is_global and not (parsed.is_multicast or parsed.is_reserved)


def is_local(address: str) -> bool:
    """Tell whether an address is loopback, link-local, or the metadata service of a cloud, also inside another one."""
    parsed = _parse(address)
    embedded = _embedded(parsed)
    return _is_in(parsed, LOCAL) or (embedded is not None and _is_in(embedded, LOCAL))


def is_within(address: str, cidrs: Iterable[str]) -> bool:
    """Tell whether an address is in one of the networks of a setting, in CIDR notation.

    Raises ValueError for what is no address.
    """
    return _is_in(_parse(address), _networks(tuple(cidrs)))


def is_of_this_machine(address: str) -> bool:
    """Tell whether a connection to an address stays on this machine."""
    parsed = _parse(address)
    if parsed.is_loopback or parsed.is_unspecified:
        return True
    # The system binds sockets to its own addresses only, unless it is told otherwise (``ip_nonlocal_bind``).
    try:
        with socket.socket(socket.AF_INET if isinstance(parsed, IPv4Address) else socket.AF_INET6) as probe:
            probe.bind((str(parsed), 0))
    except OSError:
        return False
    return True


def _parse(address: str) -> IPv4Address | IPv6Address:
    """Parse an address; ``::ffff:127.0.0.1`` is 127.0.0.1, which the system connects to."""
    parsed = ip_address(address)
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address.sixtofour is not None:
        return address.sixtofour
    return IPv4Address(int(address) & 0xFFFFFFFF) if _is_in(address, EMBEDDING) else None


def _is_in(address: IPv4Address | IPv6Address, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)


@lru_cache  # parsed once per value of a setting: STOA_TRUSTED_PROXIES is needed for every request
def _networks(texts: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(text) for text in texts)
