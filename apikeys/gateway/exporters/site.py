"""The input of every exporter: addresses, the gateway's token, the routes; and the names of headers."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.template.loader import render_to_string

from apikeys.gateway.configuration import Access, Route, Tenants, read_routes, read_subscriptions
from stoa_cp.net.urls import DEFAULT_PORTS

DEFAULT_LISTEN = "8080"
# What goes into a configuration file must not break out of its place there.
LISTEN = re.compile(r"(?:[0-9A-Za-z_.-]+:|\[[0-9A-Fa-f:]+\]:)?[0-9]{1,5}", re.ASCII)
# The same for a file on the gateway's machine. From the root, because each program has another current folder.
CA_FILE = re.compile(r"(?:/[0-9A-Za-z_.+@-]+)+", re.ASCII)
# A host that every program loads: labels of RFC 1035 §2.3.4, or an IPv6 address. One faulty name, and HAProxy does not
# start for any tenant. New upstreams are checked more strictly; a row may be older than that check.
HOST = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?|[0-9a-f:.]*:[0-9a-f:.]*", re.ASCII)
RESOLV_CONF = Path("/etc/resolv.conf")
LOCAL_RESOLVER = "127.0.0.53"  # systemd-resolved: the likeliest, if resolv.conf names none
# Where systems keep the certificates of the public authorities: nginx and Envoy trust no file that they are not told.
# The first is that of Debian, Ubuntu, Alpine and the programs' Docker images; then Red Hat, SUSE, and macOS with BSD.
TRUST_STORES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/ca-bundle.pem"),
    Path("/etc/ssl/cert.pem"),
)

TOKEN_HEADER = "X-Stoa-Gateway-Token"  # noqa: S105 - a header's name
# Who calls which API, for the upstream.
IDENTITY_HEADERS = (
    "X-Stoa-Tenant",
    "X-Stoa-Api",
    "X-Stoa-Subscription",
    "X-Stoa-Application",
    "X-Stoa-Key",
    "X-Stoa-Plan",
    "X-Stoa-Mode",
    "X-Stoa-Decision",
)
# Where the call goes, for the gateway only.
ROUTING_HEADERS = ("X-Stoa-Upstream", "X-Stoa-Upstream-Scheme", "X-Stoa-Upstream-Host", "X-Stoa-Path")
# For the caller: with a refusal, and about its limits with every answer.
REFUSAL_HEADERS = ("Content-Type", "Retry-After", "WWW-Authenticate", "X-Stoa-Reason", "X-Request-Id")
LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
# For the caller, with the answer of the upstream.
RESPONSE_HEADERS = (*LIMIT_HEADERS, "Deprecation", "Sunset")
# A client must not set these, and an upstream must not see them.
INTERNAL_HEADERS = (TOKEN_HEADER, "X-Stoa-Reason", "X-Stoa-Status")
# The body of the answer while the control plane cannot be reached: in the envelope of every other error.
UNAVAILABLE = '{"error":{"code":"internal_error","message":"Server error","details":[],"request_id":null}}'


@dataclass(frozen=True, slots=True)
class RoutesNow:
    """The routes of a gateway's tenants, which are read from the database whenever they are iterated over."""

    tenants: Tenants

    def __iter__(self) -> Iterator[Route]:
        return (route for route in read_routes(self.tenants) if HOST.fullmatch(route.host))


@dataclass(frozen=True, slots=True)
class SubscriptionsNow:
    """The same for subscriptions, of APIs that are not off."""

    tenants: Tenants

    def __iter__(self) -> Iterator[Access]:
        return (each for each in read_subscriptions(self.tenants) if each.is_open)


@dataclass(frozen=True, slots=True)
class Site:
    """What one gateway's file depends on. ``token`` is empty if the program reads it from its environment."""

    control_plane_url: str
    token: str = ""
    listen: str = DEFAULT_LISTEN
    is_standalone: bool = False  # a complete file, for a process that is started by hand in a folder of its own
    ca_file: str = ""  # the authorities that may certify the control plane; empty for the public ones
    system_ca_file: str = str(TRUST_STORES[0])
    resolvers: Sequence[str] = ()
    # Each exporter reads them once at most. Only some programs need routes, and only Kong needs subscriptions.
    routes: Iterable[Route] = ()
    subscriptions: Iterable[Access] = ()

    @property
    def control_plane(self) -> str:
        """Host and port. Always with the port: without one, nginx's ``server`` means port 80, for https too."""
        parts = urlsplit(self.control_plane_url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{host}:{self.control_plane_port}"

    @property
    def control_plane_host(self) -> str:
        return urlsplit(self.control_plane_url).hostname or ""

    @property
    def control_plane_port(self) -> int:
        parts = urlsplit(self.control_plane_url)
        return parts.port or DEFAULT_PORTS[parts.scheme]

    @property
    def uses_tls(self) -> bool:
        return self.control_plane_url.startswith("https://")

    @property
    def trust_store(self) -> str:
        """The authorities that may certify the control plane, for a program that has no default for them."""
        return self.ca_file or self.system_ca_file

    @property
    def listen_port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    @property
    def listen_host(self) -> str:
        return self.listen.rpartition(":")[0]

    def token_or(self, placeholder: str) -> str:
        return self.token or placeholder


def describe_site(tenants: Tenants = None, **options: Any) -> Site:
    """Return a site for a gateway of these tenants. Options are fields of Site.

    Raises ImproperlyConfigured if STOA_GATEWAY_CA_FILE is not a path that can stand in a configuration.
    """
    ca_file = options.pop("ca_file", None) or settings.STOA_GATEWAY_CA_FILE
    if ca_file and not CA_FILE.fullmatch(ca_file):
        raise ImproperlyConfigured("STOA_GATEWAY_CA_FILE is not a path such as /etc/ssl/stoa-ca.pem.")
    return Site(
        control_plane_url=settings.STOA_URL,
        ca_file=ca_file,
        system_ca_file=system_trust_store(),
        resolvers=system_resolvers(),
        routes=RoutesNow(tenants),
        subscriptions=SubscriptionsNow(tenants),
        **options,
    )


def system_trust_store() -> str:
    """Return the file of this machine's trusted authorities; that of Debian if there is none at a known place."""
    return str(next((path for path in TRUST_STORES if path.exists()), TRUST_STORES[0]))


def system_resolvers() -> list[str]:
    """Return the name servers of this machine, IPv6 addresses in brackets; LOCAL_RESOLVER if it names none.

    Without those with a zone (``fe80::1%eth0``), which nginx does not accept.
    """
    try:
        lines = RESOLV_CONF.read_text().splitlines()
    except OSError:
        lines = []
    addresses = [words[1] for words in map(str.split, lines) if len(words) > 1 and words[0] == "nameserver"]
    return [f"[{name}]" if ":" in name else name for name in addresses if "%" not in name] or [LOCAL_RESOLVER]


def render_file(name: str, site: Site, **context: Any) -> str:
    """Render ``templates/gateways/<name>``.

    Without escaping: names, paths and URLs were checked before they were stored, the token and the address to listen on
    by ``manage.py gateway_config``.
    """
    return render_to_string(f"gateways/{name}", {"site": site, **context})


def spellings(names: Iterable[str]) -> list[str]:
    """Return every way to write header names with - and _, for a program that removes only the names that it is told.

    Servers of the CGI family read _ as -: to them a client's X_Stoa_Tenant is X-Stoa-Tenant.
    """
    return [
        "".join(each)
        for name in names
        for each in product(*(("-", "_") if letter == "-" else letter for letter in name))
    ]


def escape_for_regex(path: str) -> str:
    """Return a route's path for a regular expression: of its possible characters, only the dot has a meaning there."""
    return path.replace(".", "[.]")
