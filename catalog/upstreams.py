"""The rules for two URLs of an API: where it is served from (upstream) and where it is described."""

import re
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from stoa_cp.net.egress import Unresolved, addresses_of, is_forbidden
from stoa_cp.net.urls import DEFAULT_PORTS, MAX_URL_LENGTH

HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+", re.ASCII)
# RFC 3986's path characters without quotes, brackets, semicolon and dollar sign: the URL is written into configurations
# of proxies, where those are syntax.
BASE_PATH = re.compile(r"[A-Za-z0-9._~!&*+,:=@%/-]*", re.ASCII)


def refusal_of_url(url: str) -> str | Promise | None:
    """Return a sentence that says why ``url`` is not an absolute http(s) URL, or None if it is one."""
    parts = _split(url)
    if parts is None:
        return _("This is not a URL.")
    if parts.scheme not in DEFAULT_PORTS:
        return _("The URL must begin with http:// or https://.")
    # A password in a URL would be shown to every reader of the API, and in the event log for ever.
    if parts.username is not None or parts.password is not None:
        return _("A URL here must not carry a user name or a password.")
    if not HOST.fullmatch(parts.hostname or ""):
        return _("The URL names no host.")
    return None


def refusal_of_upstream(url: str) -> str | Promise | None:
    """Return a sentence that says why ``url`` cannot be an upstream, or None if it can.

    Private addresses are allowed, because gateways do reach internal services. With ``STOA_PUBLIC_UPSTREAMS_ONLY`` they
    are refused: the host is resolved, which takes up to 2 s, and a name that has no address yet is allowed.
    """
    refusal = refusal_of_url(url)
    if refusal:
        return refusal
    parts = urlsplit(url)
    if parts.query or parts.fragment or not BASE_PATH.fullmatch(parts.path):
        return _("An upstream is a plain base URL, without a query or a fragment.")
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
    # Gateways would carry calls of any consumer to the control plane, from an address that it may trust.
    if _is_ourselves(host, port):
        return _("The control plane cannot be its own upstream.")
    if settings.STOA_PUBLIC_UPSTREAMS_ONLY and _is_private(host, port):
        return _("The host is not on the public Internet.")
    return None


def _split(url: str) -> SplitResult | None:
    """Return the parts of a URL, or None if programs may read it differently.

    Browsers read a backslash as a slash, and urlsplit drops tabs and newlines: such a URL could lead to another host
    than the one that was checked.
    """
    if len(url) > MAX_URL_LENGTH or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        return None if parts.port == 0 else parts  # reading the port checks it; nothing listens on 0
    except ValueError:
        return None


def _is_private(host: str, port: int) -> bool:
    try:
        return any(is_forbidden(address) for address in addresses_of(host, port))
    except Unresolved:
        return False  # the host may get its address after the registration


def _is_ourselves(host: str, port: int) -> bool:
    own = urlsplit(settings.STOA_URL)
    own_hosts = {own.hostname, *(name.strip("[]") for name in settings.ALLOWED_HOSTS)}
    own_ports = {settings.STOA_PORT, own.port or DEFAULT_PORTS[own.scheme]}
    return host.removesuffix(".") in own_hosts and port in own_ports
