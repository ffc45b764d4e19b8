"""Versions on the wire: ETag out, If-None-Match and If-Match in (RFC 9110 §§8.8.3, 13.1)."""

import re
from hashlib import sha256

from django.db.models import Model, QuerySet
from django.utils.translation import gettext_lazy as _

from stoa_cp.domain.errors import DomainError

ENTITY_TAG = re.compile(r'(?:W/)?"([^"]*)"', re.ASCII)


class PreconditionFailed(DomainError):
    """Somebody has changed the object since the client last saw it."""

    detail_code = "precondition_failed"
    message = _("The object has changed since: read it again, then decide.")


def etag(version: int | str) -> str:
    """Return the weak entity tag of a version: two answers of one version may differ in their bytes."""
    return f'W/"{version}"'


def composite_version(version: int, *state: object) -> str:
    """Return a version that also tells apart what is read with the row but does not stand in it."""
    return f"{version}.{sha256(repr(state).encode()).hexdigest()[:8]}"


def etag_matches(header: str, version: int | str) -> bool:
    """Tell whether an If-None-Match header names this version, or any by ``*``."""
    return header.strip() == "*" or str(version) in ENTITY_TAG.findall(header)


def check_row_version(rows: QuerySet[Model], pk: str, if_match: str) -> None:
    """Lock the row that a conditional write is about, and compare: nobody can slip in between check and change.

    Raises PreconditionFailed.
    """
    version = rows.select_for_update(of=("self",), no_key=True).values_list("version", flat=True).filter(pk=pk).first()
    # The row alone is what a client must have seen to change it: the rest of `composite_version` is left aside.
    known = {tag.partition(".")[0] for tag in ENTITY_TAG.findall(if_match)}
    if version is None or not (if_match.strip() == "*" or str(version) in known):
        raise PreconditionFailed
