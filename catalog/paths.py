"""The path of an API below its tenant, in one canonical spelling."""

import re

# Unreserved characters only (RFC 3986 §2.3): they need no percent-encoding, so all programs read such a path alike.
SEGMENT = r"[A-Za-z0-9._~-]+"
PATH = re.compile(rf"/|(?:/{SEGMENT})+", re.ASCII)
# Clients and proxies remove these (RFC 3986 §5.2.4): no call would ever reach such a path.
DOT_SEGMENTS = frozenset({".", ".."})


def normalise_path(path: str) -> str | None:
    """Return ``path`` without a trailing slash, or None if it cannot be an API's path."""
    path = path.rstrip("/") or "/"
    if not PATH.fullmatch(path) or DOT_SEGMENTS & set(path.split("/")):
        return None
    return path
