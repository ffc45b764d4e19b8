"""The rules for the URLs of an API: where it is served from (upstream, sandbox) and where it is described.

Gateways connect to an upstream, this service does not. A tenant could name what only the gateway reaches: its own
administration, the cloud's metadata service, or the control plane. So hosts are resolved when an API is registered or
moved, and again every few minutes (``services.upstream_checks``).
"""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from stoa_cp.net.addresses import is_local, is_of_this_machine, is_public, is_within
from stoa_cp.net.egress import addresses_of_each
from stoa_cp.net.urls import DEFAULT_PORTS, ParsedUrl, UrlRefused, is_address, parse_url

Judgement = str | Promise | None

LAST_PORT = 65_535
EVERY_IPV4 = ("0.0.0.0/0",)
# RFC 1123 §2.1. Narrower than what DNS carries: no underscore, with which the groups of servers in generated files are
# named (``http://stoa_control_plane`` led nginx to the control plane), and no hyphen at an end of a label.
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){LABEL}(?:\.{LABEL})*", re.ASCII)
# Hosts that programs read as something else: ``http://unix:8080/`` is a socket for nginx, the other name the group of
# servers that its generated file defines. Rows from before these rules are checked for them too.
NO_HOSTS = frozenset({"unix", "stoa_control_plane"})
# Names that mean the same on all machines, also where the resolver of this one has no answer for them. The first are
# loopback by RFC 6761 §6.3 or in the hosts file of Linux distributions, the others in the networks of clouds.
LOOPBACK_NAME = re.compile(
    r"(?:.+\.)?localhost|localhost\.localdomain|localhost[46](?:\.localdomain[46])?|ip6-(?:localhost|loopback)",
    re.ASCII,
)
METADATA_NAMES = frozenset(
    {"metadata", "metadata.goog", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"}
)
# RFC 3986's path characters without quotes, brackets, semicolon and dollar sign: the URL is written into configurations
# of proxies, where those are syntax. Without the colon, with which a path names a socket or a port.
BASE_PATH = re.compile(r"[A-Za-z0-9._~!&*+,=@%/-]*", re.ASCII)


def parse_http_url(url: str) -> ParsedUrl:
    """Parse an absolute http(s) URL. Uses no network. Raises UrlRefused with the reason."""
    # Names in other alphabets are refused, and not encoded: programs encode by different versions of IDNA.
    if not url.isascii():
        raise UrlRefused(_("The URL must be ASCII: a host in another alphabet is written as xn--…"))
    parts = parse_url(url)
    if parts.scheme not in DEFAULT_PORTS:
        raise UrlRefused(_("The URL must begin with http:// or https://."))
    if parts.port is not None and not 1 <= parts.port <= LAST_PORT:
        raise UrlRefused(_("The port must be between 1 and 65535."))
    return parts


def parse_upstream(url: str) -> ParsedUrl:
    """Parse the URL of a new upstream. Uses no network. Raises UrlRefused with the reason."""
    parts = parse_http_url(url)
    if not BASE_PATH.fullmatch(parts.path):
        raise UrlRefused(_("An upstream is a plain base URL, without a query, a fragment or a colon in its path."))
    # [::ffff:192.0.2.1] is 192.0.2.1, and is to be written so.
    is_plain = not is_within(parts.host, EVERY_IPV4) if ":" in parts.host else HOST_NAME.fullmatch(parts.host)
    if not is_plain or parts.host in NO_HOSTS:
        raise UrlRefused(_("The host must be a name after RFC 1123, such as api.example.com, or an IP address."))
    return parts


def judge_upstreams(urls: Collection[str]) -> dict[str, Judgement]:
    """Return for each URL why no API may have it as an upstream now, or None if one may.

    A URL is missing whose host does not resolve: it may get its address later. Takes up to 2 s: call it outside of
    transactions. More lenient than ``parse_upstream``, because it is for the upstreams from before those rules as well.
    """
    judgements: dict[str, Judgement] = {}
    upstreams: dict[str, ParsedUrl] = {}
    for url in urls:
        try:
            upstreams[url] = parse_http_url(url)
        except UrlRefused as refused:
            judgements[url] = refused.reason
    own = _own_address()
    found = addresses_of_each([own, *map(_host_and_port, upstreams.values())])
    for url, upstream in upstreams.items():
        addresses = (*found.get(_host_and_port(upstream), ()), *_implied_addresses(upstream.host))
        refusal = _refusal_of(upstream, addresses, own_addresses=found.get(own, ()))
        if addresses or refusal:
            judgements[url] = refusal
    return judgements


def _refusal_of(upstream: ParsedUrl, addresses: Collection[str], *, own_addresses: Collection[str]) -> Judgement:
    if upstream.host in NO_HOSTS:
        return _("The host must be a name after RFC 1123, such as api.example.com, or an IP address.")
    # Gateways would carry calls of any consumer to the control plane, from an address that it may trust.
    if _is_ourselves(upstream, addresses, own_addresses):
        return _("The control plane cannot be its own upstream.")
    addresses = [address for address in addresses if not is_within(address, settings.STOA_UPSTREAM_ALLOW)]
    if any(is_local(address) for address in addresses):
        return _("The host leads to a loopback, link-local or metadata address.")
    if settings.STOA_PUBLIC_UPSTREAMS_ONLY and not all(is_public(address) for address in addresses):
        return _("The host is not on the public Internet.")
    return None


def _is_ourselves(upstream: ParsedUrl, addresses: Collection[str], own_addresses: Collection[str]) -> bool:
    own_host, own_port = _own_address()
    own_hosts = {own_host, *(name.strip("[]").lower() for name in settings.ALLOWED_HOSTS)}
    host, port = _host_and_port(upstream)
    if host in own_hosts and port in (own_port, settings.STOA_PORT):
        return True
    if port == settings.STOA_PORT and any(is_of_this_machine(address) for address in addresses):
        return True
    # Of another name with our address we cannot tell: behind one ingress, many services share address and port. Its
    # calls have that name as their Host, which the ingress or STOA_ALLOWED_HOSTS refuses.
    return is_address(host) and port == own_port and host in own_addresses


def _implied_addresses(host: str) -> tuple[str, ...]:
    if LOOPBACK_NAME.fullmatch(host):
        return ("127.0.0.1",)
    return ("169.254.169.254",) if host in METADATA_NAMES else ()


def _own_address() -> tuple[str, int]:
    own = urlsplit(settings.STOA_URL)  # written by the operator
    return own.hostname or "", own.port or DEFAULT_PORTS[own.scheme]


def _host_and_port(upstream: ParsedUrl) -> tuple[str, int]:
    return upstream.host, upstream.port or DEFAULT_PORTS[upstream.scheme]
