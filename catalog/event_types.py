"""The types of the events that this app emits."""

from enum import StrEnum


class ApiEvent(StrEnum):
    """What happens to an API."""

    CREATED = "api.created"
    UPDATED = "api.updated"
    DEPRECATED = "api.deprecated"
    DELETED = "api.deleted"
    UPSTREAM_REFUSED = "api.upstream_refused"
    UPSTREAM_ACCEPTED = "api.upstream_accepted"


class GatewayEvent(StrEnum):
    """What happens to a gateway. These events are in the platform's own log, which tenants do not see."""

    CREATED = "gateway.created"
    UPDATED = "gateway.updated"
    TOKEN_ROTATED = "gateway.token_rotated"  # noqa: S105 - an event's name
    DELETED = "gateway.deleted"
