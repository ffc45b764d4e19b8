"""The types of the events that this app emits."""

from enum import StrEnum


class PlanEvent(StrEnum):
    """What happens to a plan."""

    CREATED = "plan.created"
    UPDATED = "plan.updated"
    DELETED = "plan.deleted"


class SubscriptionEvent(StrEnum):
    """What happens to a subscription."""

    CREATED = "subscription.created"
    APPROVED = "subscription.approved"
    REJECTED = "subscription.rejected"
    SUSPENDED = "subscription.suspended"
    RESUMED = "subscription.resumed"
    REVOKED = "subscription.revoked"
    EXPIRED = "subscription.expired"
    UPDATED = "subscription.updated"
