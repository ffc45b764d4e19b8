"""The types of the events that this app emits."""

from enum import StrEnum


class KeyEvent(StrEnum):
    """What happens to an API key."""

    CREATED = "apikey.created"
    ROTATED = "apikey.rotated"
    REVOKED = "apikey.revoked"
    EXPIRING = "apikey.expiring"
    EXPIRED = "apikey.expired"


class QuotaEvent(StrEnum):
    """What happens to a month's quota. A reset is an operator's act: it is logged and not published."""

    WARNING = "quota.warning"
    EXCEEDED = "quota.exceeded"
    RESET = "quota.reset"
