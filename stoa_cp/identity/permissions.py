"""Who may do what: one table from rights to roles, and the DRF permission that asks it."""

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
    "plans:write": _BUILDERS,
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
    """The caller is known here, but none of its roles gives it the right."""

    code = ErrorCode.FORBIDDEN
    detail_code = "missing_role"
    message = ErrorCode.FORBIDDEN.label


def may(actor: Actor, right: str) -> bool:
    """Tell whether one of the actor's roles gives it ``right``. Which tenant it may use it in is another question."""
    return not RIGHTS[right].isdisjoint(actor.roles)


def require(actor: Actor, right: str) -> None:
    """Raise MissingRole unless the actor has ``right``."""
    if not may(actor, right):
        raise MissingRole


class HasRight(BasePermission):
    """Lets an action through if the caller has the right that the view's ``rights`` table names for it.

    An action without an entry raises KeyError: forgetting one is a bug that the first call shows.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        require(actor_of(request), view.rights[view.action])
        return True
