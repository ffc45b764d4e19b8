"""The path at which an API hangs under its tenant, in one canonical spelling."""

import re

# RFC 3986 unreserved characters: nothing that two programs could decode differently.
SEGMENT = r"[A-Za-z0-9._~-]+"
PATH = re.compile(rf"/|(?:/{SEGMENT})+", re.ASCII)
DOT_SEGMENTS = frozenset({".", ".."})


def normalise_path(path: str) -> str | None:
    """Return ``path`` without a trailing slash, or None if it cannot be an API's path."""
    path = path.rstrip("/") or "/"
    if not PATH.fullmatch(path) or DOT_SEGMENTS & set(path.split("/")):
        return None
    return path
