"""The rights of each role in one table, and the DRF permission that checks them.

A right says what an actor may do; the tenant in which it may do it is checked by the tenant-scoped viewsets. One table,
so that a review of all rights reads one page. ``tests/contract`` compares it with every operation and actor.
"""

from collections.abc import Mapping
from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from stoa_cp.domain.actors import DEVOPS, GATEWAY, PLATFORM, TENANT_ADMIN, VIEWER, Actor
from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.identity.authentication import actor_of

_READERS = frozenset({VIEWER, DEVOPS, TENANT_ADMIN, PLATFORM})
_BUILDERS = frozenset({DEVOPS, TENANT_ADMIN, PLATFORM})
_OWNERS = frozenset({TENANT_ADMIN, PLATFORM})
_PLATFORM = frozenset({PLATFORM})
_GATEWAYS = frozenset({GATEWAY, PLATFORM})

RIGHTS: Mapping[str, frozenset[str]] = {
    "identity:read": _READERS | _GATEWAYS,
    "tenants:read": _READERS,
    "tenants:write": _OWNERS,
    "tenants:manage": _PLATFORM,  # create, delete, suspend, resume, tier, rate limits
    "apis:read": _READERS,
    "apis:write": _BUILDERS,
    "apis:delete": _OWNERS,
    "plans:read": _READERS,
    # Not for builders: a plan may approve by itself, so that its author decides on every later request.
    "plans:write": _OWNERS,
    "plans:delete": _OWNERS,
    "subscriptions:read": _READERS,
    "subscriptions:write": _BUILDERS,
    "subscriptions:decide": _OWNERS,  # approve, reject, suspend, resume, revoke, and change the terms
    "apikeys:read": _READERS,
    "apikeys:write": _BUILDERS,
    "metrics:read": _READERS,
    "events:read": _READERS,
    "webhooks:read": _READERS,
    "webhooks:write": _BUILDERS,
    "gateways:manage": _PLATFORM,
    "gateway:report": _GATEWAYS,
    "gateway:decide": _GATEWAYS,
    "monitoring:read": _GATEWAYS,
}


class MissingRole(DomainError):
    """The token is valid, but none of its roles gives the right."""

    code = ErrorCode.FORBIDDEN
    detail_code = "missing_role"
    message = ErrorCode.FORBIDDEN.label


def may(actor: Actor, right: str) -> bool:
    """Tell whether one of the actor's roles gives it ``right``, whatever the tenant. Raises KeyError for a typo."""
    return not RIGHTS[right].isdisjoint(actor.roles)


def require(actor: Actor, right: str) -> None:
    """Raise MissingRole unless the actor has ``right``."""
    if not may(actor, right):
        raise MissingRole


class HasRight(BasePermission):
    """Allows a viewset's action if the actor has the right that the view's ``rights`` table names for it.

    An action without an entry raises KeyError, so that a forgotten entry is an error 500 and not an open door.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        require(actor_of(request), view.rights[view.action])
        return True
