"""Networks in CIDR notation, as clients write them, in one spelling."""

import re
from ipaddress import IPv6Network, ip_network

# ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128
MAX_CIDR_LENGTH = 49
# ip_network() also reads 10.0.0.0/255.0.0.0, 10.0.0.0/0.255.255.255 and fe80::%eth0.
CIDR = re.compile(r"[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?", re.ASCII)
MAPPED = IPv6Network("::ffff:0:0/96")


def normalise_cidr(text: str) -> str | None:
    """Return a network as ``10.0.0.0/8`` or ``2001:db8::/32`` (RFC 4632 §3.1, RFC 5952), or None if it is none.

    A single address is a network of one. Bits behind the prefix are cleared. ``::ffff:10.0.0.0/104`` is ``10.0.0.0/8``:
    a caller over IPv4 is compared as IPv4 (RFC 4291 §2.5.5.2).
    """
    if len(text) > MAX_CIDR_LENGTH or not CIDR.fullmatch(text):
        return None
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None
    if isinstance(network, IPv6Network) and network.subnet_of(MAPPED):
        return f"{network.network_address.ipv4_mapped}/{network.prefixlen - MAPPED.prefixlen}"
    return str(network)
