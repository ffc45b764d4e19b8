"""What the claims of a verified token say about its bearer."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from stoa_cp.domain.actors import DEVOPS, GATEWAY, PLATFORM, TENANT_ADMIN, VIEWER, is_reserved

ROLES: Mapping[str, str] = {
    **{role: role for role in (VIEWER, DEVOPS, TENANT_ADMIN, PLATFORM, GATEWAY)},
    # The names of older realms.
    "stoa.admin": PLATFORM,
    "stoa.product_owner": TENANT_ADMIN,
    "stoa.developer": DEVOPS,
    "stoa.consumer": VIEWER,
}
SUBJECT = re.compile(r"[^\x00-\x1f\x7f]{1,255}")  # fits the audit trail's column, and PostgreSQL takes no NUL
TENANT = re.compile(r"[a-z0-9-]{1,63}")  # an id or a name: nothing else can be one, so nothing else meets a query


def subject_of(claims: Mapping[str, Any]) -> str | None:
    """Return whom the token speaks for: ``sub``, or ``azp`` if a realm gives service accounts no ``sub``."""
    subject = claims.get("sub", claims.get("azp"))
    if not isinstance(subject, str) or not SUBJECT.fullmatch(subject) or is_reserved(subject):
        return None
    return subject


def roles_of(claims: Mapping[str, Any], audience: str) -> frozenset[str]:
    """Return the canonical roles, of the realm and of the client ``audience``. Unknown ones are left out."""
    holders = (claims.get("realm_access"), _member(claims.get("resource_access"), audience))
    granted = (role for holder in holders for role in _strings(_member(holder, "roles")))
    return frozenset(ROLES[role] for role in granted if role in ROLES)


def tenants_of(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the tenants of ``tenant_id``, else of ``tenant``: ids or names, in the token's order."""
    named = claims.get("tenant_id") or claims.get("tenant")
    return tuple(dict.fromkeys(tenant for tenant in _strings(named) if TENANT.fullmatch(tenant)))


def is_addressed_to(claims: Mapping[str, Any], audience: str) -> bool:
    """Tell whether ``aud``, one name or a list (RFC 7519 §4.1.3), holds ``audience``."""
    return audience in _strings(claims.get("aud"))


def _member(holder: object, name: str) -> object:
    return holder.get(name) if isinstance(holder, dict) else None


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, str))
