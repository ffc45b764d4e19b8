"""Reads subject, name, roles and tenants from the claims of a verified token."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from stoa_cp.domain.actors import DEVOPS, GATEWAY, OPERATOR_READONLY, PLATFORM, TENANT_ADMIN, VIEWER, is_reserved

ROLES: Mapping[str, str] = {
    **{role: role for role in (VIEWER, DEVOPS, TENANT_ADMIN, PLATFORM, GATEWAY, OPERATOR_READONLY)},
    # Names of the same roles in older realms, whose tokens stay valid.
    "stoa.admin": PLATFORM,
    "stoa.product_owner": TENANT_ADMIN,
    "stoa.developer": DEVOPS,
    "stoa.consumer": VIEWER,
}
# OpenID Connect Core 1.0 §2 and RFC 6749 §A.1: a subject is at most 255 ASCII characters, a client id is printable
# ASCII. Others could forge lines of a log, look like another person's id, or (a lone surrogate) not be stored at all.
# Blanks only inside: "alice " would read like "alice". 255 is also the length of the event log's column ``actor``.
SUBJECT = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")
MAX_NAME_CHARS = 150  # the length of the column ActorName.name
# The characters of a tenant's id and of its name. Any other text names no tenant and is not sent to the database.
TENANT = re.compile(r"[a-z0-9-]{1,63}")


def subject_of(claims: Mapping[str, Any]) -> str | None:
    """Return ``sub``, or ``azp`` if a realm gives service accounts no ``sub``; None if it cannot be an actor's id.

    Subjects that look like our own actors (``stoa:…``) are refused: the event log would name them.
    """
    subject = claims.get("sub", claims.get("azp"))
    if not isinstance(subject, str) or not SUBJECT.fullmatch(subject) or is_reserved(subject):
        return None
    return subject


def name_of(claims: Mapping[str, Any]) -> str:
    """Return the person's name for people to read: ``name``, else ``preferred_username``, else ""."""
    return text_of(claims, "name", MAX_NAME_CHARS) or text_of(claims, "preferred_username", MAX_NAME_CHARS)


def text_of(claims: Mapping[str, Any], claim: str, max_chars: int) -> str:
    """Return a claim for people to read, cut off after ``max_chars``; "" if it is no text that can be shown."""
    value = claims.get(claim)
    # Not printable are control characters, which PostgreSQL refuses (NUL) or a terminal obeys, and lone surrogates,
    # which UTF-8 cannot encode.
    return value[:max_chars] if isinstance(value, str) and value.isprintable() else ""


def is_service_account(claims: Mapping[str, Any]) -> bool:
    """Tell whether the token was issued to a client for itself, without a person (RFC 6749 §4.4).

    Such a token has the client's id as its subject (RFC 9068 §2.2), or none in some realms. Keycloak gives the client
    a user of its own as subject, and writes the address of the client, which no person's token has. A user name such
    as ``service-account-x`` would prove nothing: a person could be called so.
    """
    client = claims.get("client_id", claims.get("azp"))
    return claims.get("sub", client) == client or {"client_id", "clientAddress"} <= claims.keys()


def roles_of(claims: Mapping[str, Any], audience: str) -> frozenset[str]:
    """Return the canonical roles of the realm and of the client ``audience``. Unknown roles are left out.

    Roles of other clients are ignored: another service's administrator has no rights here.
    """
    holders = (claims.get("realm_access"), _member(claims.get("resource_access"), audience))
    granted = (role for holder in holders for role in _strings(_member(holder, "roles")))
    return frozenset(ROLES[role] for role in granted if role in ROLES)


def tenants_of(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ids or names in ``tenant_id``, else in ``tenant``, without repetitions, in the token's order.

    The order matters: the first tenant's rate limit applies to the token.
    """
    named = claims.get("tenant_id") or claims.get("tenant")
    return tuple(dict.fromkeys(tenant for tenant in _strings(named) if TENANT.fullmatch(tenant)))


def is_addressed_to(claims: Mapping[str, Any], audience: str) -> bool:
    """Tell whether ``aud``, a string or a list of strings (RFC 7519 §4.1.3), holds ``audience``."""
    return audience in _strings(claims.get("aud"))


def _member(holder: object, name: str) -> object:
    return holder.get(name) if isinstance(holder, dict) else None


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, str))
