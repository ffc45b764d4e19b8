"""The types of the events that this app emits."""

from enum import StrEnum


class TenantEvent(StrEnum):
    """What happens to a tenant."""

    CREATED = "tenant.created"
    ACTIVATED = "tenant.activated"
    UPDATED = "tenant.updated"
    SUSPENDED = "tenant.suspended"
    RESUMED = "tenant.resumed"
    DELETED = "tenant.deleted"
