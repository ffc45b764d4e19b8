"""Which API a request's path selects: ``/<tenant name>/<API path>…``, by the longest prefix; no program reads it twice.

What two programs could read differently (RFC 3986 §6.2.2, RFC 9110 §17.1) is no path of ours: it is refused before
anything is looked up, so that a proxy and an upstream never disagree about where a call goes.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from catalog.models import Api
from tenants.models import NAME_PATTERN

MAX_TARGET_CHARS = 8192  # what nginx and granian take as a request line
MAX_PREFIX_CHARS = Api._meta.get_field("path").max_length or 0  # noqa: SLF001 - Django's documented model API

# A path of RFC 3986's segments, none of them empty but the last.
SHAPE = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)+/?", re.ASCII)
PATH_SAFE = "/~!$&'()*+,;=:@"
# A dot, a slash, a backslash or a control character in disguise, however often it was encoded.
ENCODED_UNSAFE = re.compile(r"%(?:25)*(?:2e|2f|5c|[01][0-9a-f]|7f)", re.ASCII | re.IGNORECASE)
# Also as Java servers read it, to whom `..;a=b` is `..`.
DOT_SEGMENT = re.compile(r"/\.{1,2}(?:;[^/]*)?(?:/|$)", re.ASCII)
# Two X-Forwarded-Uri headers that a server has joined to one.
JOINED_HEADER_VALUES = re.compile(r",\s*/", re.ASCII)
# `%70ay` is `pay` to everybody (RFC 3986 §6.2.2.2), so it must select what `pay` selects.
UNRESERVED = re.compile(r"%(?:2d|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])", re.ASCII | re.IGNORECASE)
NAME = re.compile(NAME_PATTERN, re.ASCII)


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """Where a call goes: the tenant's name, and the path below it; the path is "" where nothing follows the name."""

    tenant: str
    path: str

    @property
    def prefixes(self) -> list[str]:
        """Every path at which an API could hang that serves this call, the longest first."""
        segments = self.path[: MAX_PREFIX_CHARS + 1].split("/")[1:]
        if len(self.path) > MAX_PREFIX_CHARS:
            segments.pop()  # it was cut, or is too long for an API's path
        prefixes = ["/" + "/".join(segments[:count]) for count in range(len(segments), 0, -1) if segments[count - 1]]
        return [*prefixes, "/"]

    def path_behind(self, api_path: str) -> str:
        """Return what follows the API's path: "" or something that begins with a slash."""
        return self.path if api_path == "/" else self.path[len(api_path) :]


def read_target(uri: str) -> RequestTarget | None:
    """Return what a request target in origin form (RFC 9112 §3.2.1) selects; None for what is no path of ours.

    The query is not looked at.
    """
    path = uri.partition("?")[0]
    if len(uri) > MAX_TARGET_CHARS or not SHAPE.fullmatch(path) or not _is_canonical(path):
        return None
    path = UNRESERVED.sub(lambda escape: chr(int(escape[0][1:], 16)), path)
    _root, tenant, *below = path.split("/", 2)
    if not NAME.fullmatch(tenant):
        return None
    return RequestTarget(tenant, "".join(f"/{rest}" for rest in below))


def read_decoded_target(path: str) -> RequestTarget | None:
    """Return what a path selects that a server has decoded already; a percent sign in it was an encoded one.

    Or it is Django's, which encodes anew what is no UTF-8: an overlong slash would look like an innocent ``%C0%AF``.
    """
    return read_target(quote(path, safe=PATH_SAFE)) if _is_utf8(path) else None


def read_url_target(url: str) -> RequestTarget | None:
    """Return what an absolute ``http(s)://…`` URL selects."""
    matched = re.match(r"https?://[^/?#\\@]*(?=/)", url, re.ASCII | re.IGNORECASE)
    return read_target(url[matched.end() :]) if matched else None


def _is_canonical(path: str) -> bool:
    # An overlong `/` (`%c0%af`) is no UTF-8.
    return _is_utf8(path) and not (
        ENCODED_UNSAFE.search(path) or DOT_SEGMENT.search(path) or JOINED_HEADER_VALUES.search(path)
    )


def _is_utf8(path: str) -> bool:
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return False
    return True
