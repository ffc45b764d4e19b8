"""Reads a request's target: ``/<tenant name>/<path of an API>…``. The API with the longest matching path serves it.

Ambiguous paths are refused before anything is looked up (RFC 3986 §6.2.2, RFC 9110 §17.1): a proxy and the upstream
might normalise them differently, and then the decision would be about another API than the one that is called. Refused
rather than normalised, because normalising is to guess what the others do.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from catalog.models import Api
from tenants.models import NAME_PATTERN

MAX_TARGET_CHARS = 8192  # the longest request line of nginx and granian
MAX_PREFIX_CHARS = Api._meta.get_field("path").max_length or 0  # noqa: SLF001 - Django's documented model API

# A path in the characters of RFC 3986 §3.3. Only the last segment may be empty: servers merge `//` or do not.
SHAPE = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)+/?", re.ASCII)
PATH_SAFE = "/~!$&'()*+,;=:@"
# An encoded dot, slash, backslash or control character; `%25` is an encoded percent sign, so it may be encoded
# repeatedly.
ENCODED_UNSAFE = re.compile(r"%(?:25)*(?:2e|2f|5c|[01][0-9a-f]|7f)", re.ASCII | re.IGNORECASE)
# Java servers cut a segment's parameters off, so that `..;a=b` is `..` to them.
DOT_SEGMENT = re.compile(r"/\.{1,2}(?:;[^/]*)?(?:/|$)", re.ASCII)
# A server joins two X-Forwarded-Uri headers with a comma; it is unknown which of them the proxy meant.
JOINED_HEADER_VALUES = re.compile(r",\s*/", re.ASCII)
# Unreserved characters that are encoded without need: every program reads `%70ay` as `pay` (RFC 3986 §6.2.2.2), so it
# must select the same API.
UNRESERVED = re.compile(r"%(?:2d|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])", re.ASCII | re.IGNORECASE)
NAME = re.compile(NAME_PATTERN, re.ASCII)


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """Where a call goes: the tenant's name, and the path after it; "" if nothing follows the name."""

    tenant: str
    path: str

    @property
    def prefixes(self) -> list[str]:
        """The paths of all APIs that could serve this call, the longest first."""
        # Not longer than an API's path can be: 8,192 characters could have 4,000 prefixes, all to be sent to
        # PostgreSQL.
        segments = self.path[: MAX_PREFIX_CHARS + 1].split("/")[1:]
        if len(self.path) > MAX_PREFIX_CHARS:
            segments.pop()  # a part of a segment, or a segment that makes the prefix too long
        prefixes = ["/" + "/".join(segments[:count]) for count in range(len(segments), 0, -1) if segments[count - 1]]
        return [*prefixes, "/"]

    def path_behind(self, api_path: str) -> str:
        """Return the rest of the path after the API's: "", or a path that begins with a slash."""
        return self.path if api_path == "/" else self.path[len(api_path) :]


def read_target(uri: str) -> RequestTarget | None:
    """Read a request target in origin form (RFC 9112 §3.2.1), without its query; None if its path is refused."""
    path = uri.partition("?")[0]
    if len(uri) > MAX_TARGET_CHARS or not SHAPE.fullmatch(path) or not _is_canonical(path):
        return None
    path = UNRESERVED.sub(lambda escape: chr(int(escape[0][1:], 16)), path)
    _root, tenant, *below = path.split("/", 2)
    if not NAME.fullmatch(tenant):
        return None
    return RequestTarget(tenant, "".join(f"/{rest}" for rest in below))


def read_decoded_target(path: str) -> RequestTarget | None:
    """Read a path that a server has decoded; a percent sign in it was encoded as ``%25``.

    Or Django has put the percent sign there: it re-encodes invalid UTF-8, so an overlong "/" appears as ``%C0%AF``.
    Such a path is refused before it is encoded, which would hide that.
    """
    return read_target(quote(path, safe=PATH_SAFE)) if _is_utf8(path) else None


def read_url_target(url: str) -> RequestTarget | None:
    """Read the path of an absolute ``http(s)://…`` URL; None if it is refused."""
    # No user information, and no backslash: programs disagree about where the host ends then.
    matched = re.match(r"https?://[^/?#\\@]*(?=/)", url, re.ASCII | re.IGNORECASE)
    return read_target(url[matched.end() :]) if matched else None


def _is_canonical(path: str) -> bool:
    # Invalid UTF-8 covers overlong encodings, such as `%c0%af` for a slash.
    return _is_utf8(path) and not (
        ENCODED_UNSAFE.search(path) or DOT_SEGMENT.search(path) or JOINED_HEADER_VALUES.search(path)
    )


def _is_utf8(path: str) -> bool:
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return False
    return True
