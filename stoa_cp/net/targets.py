"""Which URLs we send to: one parser, one resolution, none of the addresses that ``stoa_cp.net.egress`` forbids."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from unicodedata import normalize

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from stoa_cp.net.egress import Unresolved, addresses_of, is_address, is_forbidden
from stoa_cp.net.urls import DEFAULT_PORTS, MAX_URL_LENGTH

FIRST_UNPRIVILEGED_PORT, LAST_PORT = 1024, 65535

UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")  # parsers disagree about each of these
URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"(?:\[(?P<literal>[0-9a-f:.]+)\]|(?P<name>[^\[\]/?#@:%]+))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[!-~]*|\?[!-~]*)?",
    re.IGNORECASE | re.ASCII,
)
NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_][a-z0-9_-]{0,62}\.)*[a-z0-9_][a-z0-9_-]{0,62}", re.ASCII)
NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)


class TargetRefused(ValueError):
    """We never send there. ``reason`` is a sentence for the person who registered the URL."""

    def __init__(self, reason: str | Promise) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads. Nobody reads the URL a second time: a second parser may find another host in it."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The ``Host`` header: brackets around IPv6, no default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_target(url: str) -> Target:
    """Read a URL to deliver to. Raises TargetRefused with the reason, without asking the network."""
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
    """Refuse a URL that we would never send to. Takes up to 2 s: call it outside of transactions.

    Raises TargetRefused. A name without an address is accepted: it is asked for again at each send.
    """
    try:
        vetted_addresses(parse_target(url))
    except Unresolved:
        return


def vetted_addresses(target: Target) -> tuple[str, ...]:
    """Resolve the host and return all of its addresses, each of them allowed.

    Raises TargetRefused if one of them is forbidden: which one a connection would take is a matter of luck.
    Raises Unresolved.
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
    """Return the host in ASCII and lower case: a DNS name, or an IPv4 address in its one canonical form."""
    if _digits(normalize("NFKC", name)) != _digits(name):
        raise TargetRefused(_("The host must write its digits as 0 to 9."))
    try:
        host = name.encode("idna").decode().lower().removesuffix(".")
    except UnicodeError:
        raise TargetRefused(_("The host is no domain name.")) from None
    if not NAME.fullmatch(host):
        raise TargetRefused(_("The host is no domain name."))
    # The C library reads 0x7f.1, 017700000001 and 2130706433 as 127.0.0.1, and so do browsers.
    if NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]) and not is_address(host):
        raise TargetRefused(_("The host is no IPv4 address of the form 198.51.100.1."))
    return host


def _digits(text: str) -> list[str]:
    return [character for character in text if character.isdigit()]
