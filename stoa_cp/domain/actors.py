"""Actors: a person, a service, a gateway, an operator in the admin, or the system itself."""

from dataclasses import dataclass
from typing import ClassVar

VIEWER = "viewer"
DEVOPS = "devops"
TENANT_ADMIN = "tenant-admin"
PLATFORM = "cpi-admin"
GATEWAY = "stoa-gateway"

OPERATOR_PREFIX = "operator:"


@dataclass(frozen=True, slots=True)
class Actor:
    """A verified caller. DRF's ``request.user`` is one too, so it has the attributes that Django asks a user for.

    ``id`` is the same over all tokens of a principal; the audit trail shows it. ``roles`` are canonical names.
    ``tenants`` are the ids or names that the token claims, in its order; a platform caller needs none.
    """

    id: str
    roles: frozenset[str] = frozenset()
    tenants: tuple[str, ...] = ()

    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False
    is_active: ClassVar[bool] = True

    @property
    def pk(self) -> str:
        return self.id

    @property
    def is_platform(self) -> bool:
        return PLATFORM in self.roles


SYSTEM = Actor(id="system", roles=frozenset({PLATFORM}))


def operator(username: str) -> Actor:
    """Return the actor of an admin user: the audit trail names it ``operator:<username>``."""
    return Actor(id=f"{OPERATOR_PREFIX}{username}", roles=frozenset({PLATFORM}))


def is_reserved(subject: str) -> bool:
    """Tell whether a token's subject would look like one of our own actors in the audit trail."""
    return subject == SYSTEM.id or subject.startswith(OPERATOR_PREFIX)
