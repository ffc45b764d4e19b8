"""The types of the events that this app emits."""

from enum import StrEnum


class KeyEvent(StrEnum):
    """What happens to an API key."""

    CREATED = "apikey.created"
    UPDATED = "apikey.updated"
    ROTATED = "apikey.rotated"
    REVOKED = "apikey.revoked"
    EXPIRING = "apikey.expiring"
    EXPIRED = "apikey.expired"
    LEAKED = "apikey.leaked"


class QuotaEvent(StrEnum):
    """What happens to a month's quota. A reset is made by an operator: it is in the log, and webhooks do not get it."""

    WARNING = "quota.warning"
    EXCEEDED = "quota.exceeded"
    RESET = "quota.reset"
