"""ETag, If-None-Match and If-Match (RFC 9110 §§8.8.3, 13.1)."""

import re
from hashlib import sha256

from django.db.models import Model, QuerySet
from django.utils.translation import gettext_lazy as _

from stoa_cp.domain.errors import DomainError

ENTITY_TAG = re.compile(r'(?:W/)?"([^"]*)"', re.ASCII)


class PreconditionFailed(DomainError):
    """The object was changed since the client last read it."""

    detail_code = "precondition_failed"
    message = _("The object has changed since: read it again, then decide.")


def etag(version: int | str) -> str:
    """Return the weak entity tag of a version: two answers of one version may differ in their bytes."""
    return f'W/"{version}"'


def composite_version(version: int, *state: object) -> str:
    """Return a version that also changes with ``state``: what a read shows beside the row's own columns."""
    return f"{version}.{sha256(repr(state).encode()).hexdigest()[:8]}"


def etag_matches(header: str, version: int | str) -> bool:
    """Tell whether an If-None-Match header names this version, or any by ``*``."""
    return header.strip() == "*" or str(version) in ENTITY_TAG.findall(header)


def check_row_version(rows: QuerySet[Model], pk: str, if_match: str) -> None:
    """Compare If-Match with a row's version, and keep the row locked until the transaction ends.

    Without the lock another write could change the row between this check and the change. Raises PreconditionFailed.
    """
    # NO KEY UPDATE: rows that refer to this one may still be inserted meanwhile.
    version = rows.select_for_update(of=("self",), no_key=True).values_list("version", flat=True).filter(pk=pk).first()
    # Only the row's own version counts. The rest of a composite version changes without any write, such as the time of
    # a key's last use: a client could never keep up with it.
    known = {tag.partition(".")[0] for tag in ENTITY_TAG.findall(if_match)}
    if version is None or not (if_match.strip() == "*" or str(version) in known):
        raise PreconditionFailed
