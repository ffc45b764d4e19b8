"""What every configuration is made of: the control plane's address, the gateway's token, the routes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from django.conf import settings
from django.template.loader import render_to_string

from apikeys.gateway.configuration import Route, list_routes, list_subscriptions
from stoa_cp.net.urls import DEFAULT_PORTS
from subscriptions.models import Subscription

DEFAULT_LISTEN = "8080"
LISTEN = re.compile(r"(?:[0-9A-Za-z_.-]+:|\[[0-9A-Fa-f:]+\]:)?[0-9]{1,5}", re.ASCII)
RESOLV_CONF = Path("/etc/resolv.conf")
LOCAL_RESOLVER = "127.0.0.53"  # systemd-resolved

TOKEN_HEADER = "X-Stoa-Gateway-Token"  # noqa: S105 - a header's name
# Who calls what: for the upstream.
IDENTITY_HEADERS = (
    "X-Stoa-Tenant",
    "X-Stoa-Api",
    "X-Stoa-Subscription",
    "X-Stoa-Application",
    "X-Stoa-Key",
    "X-Stoa-Plan",
    "X-Stoa-Decision",
)
# The same for an upstream that reads _ as -, as CGI and WSGI do, behind a gateway that lets _ through.
IDENTITY_SPELLINGS = tuple(
    "".join(each)
    for name in IDENTITY_HEADERS
    for each in product(*(("-", "_") if letter == "-" else letter for letter in name))
)
# Where the call goes: for the gateway only.
ROUTING_HEADERS = ("X-Stoa-Upstream", "X-Stoa-Upstream-Scheme", "X-Stoa-Upstream-Host", "X-Stoa-Path")
# What a refusal says, and what a caller learns about its limits.
REFUSAL_HEADERS = ("Content-Type", "Retry-After", "WWW-Authenticate", "X-Stoa-Reason", "X-Request-Id")
LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
# No client may set these, and no upstream has to see them.
FOREIGN_HEADERS = (TOKEN_HEADER, "X-Stoa-Reason", "X-Stoa-Status")
# What a caller is told when the control plane cannot be asked.
UNAVAILABLE = '{"error":{"code":"internal_error","message":"Server error","details":[],"request_id":null}}'


@dataclass(frozen=True, slots=True)
class Site:
    """One gateway's surroundings. ``token`` is empty where the program reads it from its environment."""

    control_plane_url: str
    token: str = ""
    listen: str = DEFAULT_LISTEN
    is_standalone: bool = False  # a whole file for a gateway of its own, started by hand in a folder of its own
    resolvers: Sequence[str] = ()
    routes: Sequence[Route] = field(default=())
    subscriptions: Sequence[Subscription] = field(default=())

    @property
    def control_plane(self) -> str:
        """Host and port, as every program wants them."""
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
    def speaks_tls(self) -> bool:
        return self.control_plane_url.startswith("https://")

    @property
    def listen_port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    @property
    def listen_host(self) -> str:
        return self.listen.rpartition(":")[0]

    def token_or(self, placeholder: str) -> str:
        return self.token or placeholder


def describe_site(**options: Any) -> Site:
    """Return the site of this control plane as it is now. Options are fields of Site."""
    return Site(
        control_plane_url=settings.STOA_URL,
        resolvers=system_resolvers(),
        routes=list_routes(),
        subscriptions=list_subscriptions(),
        **options,
    )


def system_resolvers() -> list[str]:
    """Return the name servers of this machine, IPv6 ones in brackets; a guess where it names none."""
    try:
        lines = RESOLV_CONF.read_text().splitlines()
    except OSError:
        lines = []
    addresses = [words[1] for words in map(str.split, lines) if len(words) > 1 and words[0] == "nameserver"]
    return [f"[{name}]" if ":" in name else name for name in addresses if "%" not in name] or [LOCAL_RESOLVER]


def render_file(name: str, site: Site, **context: Any) -> str:
    """Fill in ``templates/gateways/<name>``. What goes in was checked on its way into the database."""
    return render_to_string(f"gateways/{name}", {"site": site, **context})


def dump_yaml(document: Mapping[str, Any], comment: str) -> str:
    """Return a YAML file that begins with ``comment``, each of its lines behind a ``#``."""
    lines = "".join(f"# {line}".rstrip() + "\n" for line in comment.strip().splitlines())
    body: str = yaml.safe_dump(dict(document), sort_keys=False, width=1000, allow_unicode=True)
    return lines + body


def quoted(path: str) -> str:
    """Return a route's path for a regular expression: of the characters in it only the dot means something there."""
    return path.replace(".", "[.]")
