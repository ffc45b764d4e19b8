"""Actors: a person, a service, a gateway, an operator with a password of our own, or the system itself."""

from dataclasses import dataclass, field
from typing import ClassVar

VIEWER = "viewer"
DEVOPS = "devops"
TENANT_ADMIN = "tenant-admin"
PLATFORM = "cpi-admin"
GATEWAY = "stoa-gateway"
OPERATOR_READONLY = "stoa-operator-readonly"  # for the console only: it gives no right over REST

# Every actor that is not a token's subject begins with it, except gateways, whose id is the actor's.
OWN_PREFIX = "stoa:"
# What a subject may not begin with, in small letters. ``system`` and ``operator:…`` were our own actors in older
# releases: such rows of the event log and of subscriptions keep their text, and no token may claim it.
RESERVED_PREFIXES = (OWN_PREFIX, "operator:", "gtw-")
RESERVED = frozenset({"system"})


@dataclass(frozen=True, slots=True)
class Actor:
    """A verified caller. DRF's ``request.user`` is one too, so it has the attributes that Django asks a user for.

    ``id`` is the token's subject, so that one person is one actor over REST, in the console and in every rule. Only
    ids are compared and logged. ``name`` is for people to read, and may be "". ``roles`` are canonical names.
    ``tenants`` are the ids or names that the token claims, in its order; a platform caller needs none.
    """

    id: str
    roles: frozenset[str] = frozenset()
    tenants: tuple[str, ...] = ()
    name: str = field(default="", compare=False)

    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False
    is_active: ClassVar[bool] = True

    @property
    def pk(self) -> str:
        return self.id

    @property
    def is_platform(self) -> bool:
        return PLATFORM in self.roles


SYSTEM = Actor(id=f"{OWN_PREFIX}system", roles=frozenset({PLATFORM}))


def operator(username: str, *, name: str = "") -> Actor:
    """Return the actor of an operator without a token: one with a password, or one that a command names.

    Nothing proves which person it is. The id is ``stoa:operator:<username>``.
    """
    return Actor(id=f"{OWN_PREFIX}operator:{username}", roles=frozenset({PLATFORM}), name=name)


def person(subject: str, *, name: str) -> Actor:
    """Return the actor of an operator whose ``subject`` the identity provider has proved."""
    return Actor(id=subject, roles=frozenset({PLATFORM}), name=name)


def is_reserved(actor_id: str) -> bool:
    """Tell whether an id is one of our own actors', in this release or an older one: no token may claim it."""
    # Without regard to case: ``Stoa:System`` must not read like ours either.
    lowered = actor_id.lower()
    return lowered in RESERVED or lowered.startswith(RESERVED_PREFIXES)
