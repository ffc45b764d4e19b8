r"""Parses and checks the URLs that tenants let us send requests to (protection against SSRF).

A URL is parsed once, here. Parsers disagree: ``http://127.0.0.1\@evil.com/`` leads to evil.com for urlsplit and to
127.0.0.1 for urllib3. So a check with one parser and a connection with another protects nothing.

A check at registration is not enough either: its owner can point a name to 127.0.0.1 afterwards (DNS rebinding). So
each send resolves the name again, checks all addresses with ``vetted_addresses``, and connects to one of these, by its
number.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from unicodedata import normalize

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from stoa_cp.net.egress import Unresolved, addresses_of, is_address, is_forbidden
from stoa_cp.net.urls import DEFAULT_PORTS, MAX_URL_LENGTH

# Below 1024 are the services that a forged request could talk to, such as SSH (22) and SMTP (25).
FIRST_UNPRIVILEGED_PORT, LAST_PORT = 1024, 65535

# Controls, blanks and the backslash: parsers drop, split at or translate them differently.
UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
# Narrower than RFC 3986: no userinfo, no fragment, no percent-encoded host, printable ASCII only.
URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"(?:\[(?P<literal>[0-9a-f:.]+)\]|(?P<name>[^\[\]/?#@:%]+))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[!-~]*|\?[!-~]*)?",
    re.IGNORECASE | re.ASCII,
)
# A host name of RFC 1123, and underscores, which names inside a company have (``my_app``). 253 and 63: RFC 1035 §2.3.4.
NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_][a-z0-9_-]{0,62}\.)*[a-z0-9_][a-z0-9_-]{0,62}", re.ASCII)
NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


class TargetRefused(ValueError):
    """We never send to this URL. ``reason`` is a sentence for the person who registered it."""

    def __init__(self, reason: str | Promise) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of a parsed URL. Requests are made from these: the URL's text is not parsed again."""

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
    """Parse a URL to send to. Uses no network. Raises TargetRefused with the reason."""
    if len(url) > MAX_URL_LENGTH:
        raise TargetRefused(_("The URL must not be longer than 2,048 characters."))
    if UNSAFE.search(url):
        raise TargetRefused(_("The URL must not contain blanks, control characters or backslashes."))
    if "#" in url:
        raise TargetRefused(_("The URL must not have a fragment."))
    parts = URL.fullmatch(url)
    if parts is None:
        raise TargetRefused(_("This is no URL of the form https://host/path, or it names a user."))
    scheme = _allowed_scheme(parts["scheme"].lower())
    path = parts["path"] or "/"
    return Target(
        scheme=scheme,
        host=_ipv6_host(parts["literal"]) if parts["literal"] else _named_host(parts["name"]),
        port=_allowed_port(int(parts["port"] or DEFAULT_PORTS[scheme])),
        path=path if path.startswith("/") else f"/{path}",
    )


def check_url(url: str) -> None:
    """Raise TargetRefused if we would never send to the URL. Takes up to 2 s: call it outside of transactions.

    A name without an address is accepted. A new host may not be in the DNS yet, and each send resolves it again.
    """
    try:
        vetted_addresses(parse_target(url))
    except Unresolved:
        return


def vetted_addresses(target: Target) -> tuple[str, ...]:
    """Resolve the host and return all of its addresses, if all are allowed.

    Raises TargetRefused if only one of them is forbidden: the connection might use that one.
    Raises Unresolved if there is none.
    """
    addresses = addresses_of(target.host, target.port)
    if any(is_forbidden(address) for address in addresses):
        raise TargetRefused(_("The host is not on the public Internet."))
    return addresses


def _allowed_scheme(scheme: str) -> str:
    if scheme == "https" or (scheme == "http" and settings.STOA_ALLOW_HTTP_WEBHOOKS):
        return scheme
    raise TargetRefused(_("The URL must begin with https://."))


def _allowed_port(port: int) -> int:
    if port in DEFAULT_PORTS.values() or FIRST_UNPRIVILEGED_PORT <= port <= LAST_PORT:
        return port
    raise TargetRefused(_("The port must be 443, 80 or between 1024 and 65535."))


def _ipv6_host(literal: str) -> str:
    try:
        return str(IPv6Address(literal))
    except ValueError:
        raise TargetRefused(_("The host is no IPv6 address.")) from None


def _named_host(name: str) -> str:
    """Return the host in ASCII and lower case: a DNS name, or an IPv4 address in dotted-decimal form."""
    # ①②⑦.⓪.⓪.① becomes 127.0.0.1 when a later step normalises it.
    if _digits(normalize("NFKC", name)) != _digits(name):
        raise TargetRefused(_("The host must write its digits as 0 to 9."))
    try:
        host = name.encode("idna").decode().lower().removesuffix(".")
    except UnicodeError:
        raise TargetRefused(_("The host is no domain name.")) from None
    if not NAME.fullmatch(host):
        raise TargetRefused(_("The host is no domain name."))
    # inet_aton() in the C library reads 0x7f.1, 017700000001 and 2130706433 as 127.0.0.1, and so do browsers. A name
    # whose last label is a number is refused unless it is a dotted-decimal address.
    if NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]) and not is_address(host):
        raise TargetRefused(_("The host is no IPv4 address of the form 198.51.100.1."))
    return host


def _digits(text: str) -> list[str]:
    return [character for character in text if character.isdigit()]
