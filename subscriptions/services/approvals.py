"""Use cases of an approver: approve a pending subscription within terms, or reject it.

Doors call ``apikeys.services.access.grant_access``, which approves and issues the first key.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import DomainError, ErrorCode
from stoa_cp.domain.times import check_not_past
from stoa_cp.eventlog.emit import emit
from subscriptions.event_types import SubscriptionEvent
from subscriptions.models import Subscription, SubscriptionStatus
from subscriptions.services.subscriptions import change_status, lock_subscription, snapshot


class SecondApproverRequired(DomainError):
    """STOA_REQUIRE_SECOND_APPROVER is on, and the requester tries to approve."""

    code = ErrorCode.FORBIDDEN
    detail_code = "second_approver_required"
    message = _("A person other than the requester must approve this subscription.")


@dataclass(frozen=True, slots=True)
class Terms:
    """What an approver grants: requests per hour, per calendar month (UTC), and when access ends. None is no limit."""

    rate_limit: int | None
    quota: int | None
    expires_at: datetime | None = None

    @classmethod
    def of(cls, subscription: Subscription, **agreed: Any) -> "Terms":
        """Return the terms for an approval.

        A term that is named in ``agreed`` wins, also if it is None. Else it is the pending subscription's own, set by a
        PATCH before the decision; a limit that it has not falls back to the plan.
        """
        plan = subscription.plan
        defaults = {
            "rate_limit": plan.rate_limit if subscription.rate_limit is None else subscription.rate_limit,
            "quota": plan.quota if subscription.quota is None else subscription.quota,
            "expires_at": subscription.expires_at,
        }
        return cls(**defaults | agreed)


@transaction.atomic
def approve_subscription(subscription: Subscription, terms: Terms, *, by: Actor) -> Subscription:
    """Let the application call the API within ``terms``, and announce it.

    Raises SubscriptionNotInState unless it is pending, InvalidField for an ``expires_at`` in the past, and
    SecondApproverRequired if STOA_REQUIRE_SECOND_APPROVER is on and the requester approves.
    """
    # Two approvers may click at once: the second waits here, then sees the first's decision.
    subscription = lock_subscription(subscription, SubscriptionStatus.PENDING_APPROVAL)
    if settings.STOA_REQUIRE_SECOND_APPROVER and by.id == subscription.created_by:
        raise SecondApproverRequired
    check_not_past("expires_at", terms.expires_at)
    subscription.status = SubscriptionStatus.ACTIVE
    # Copied, not read from the plan at each call: a later change of the plan must not change what was approved.
    subscription.rate_limit = terms.rate_limit
    subscription.quota = terms.quota
    subscription.expires_at = terms.expires_at
    subscription.decided_by, subscription.decided_at = by.id, timezone.now()
    subscription.save()
    emit(SubscriptionEvent.APPROVED, tenant_id=subscription.tenant_id, actor=by, data=snapshot(subscription))
    return subscription


@transaction.atomic
def reject_subscription(subscription: Subscription, reason: str, *, by: Actor) -> Subscription:
    """Refuse access. Raises SubscriptionNotInState unless it is pending."""
    subscription = lock_subscription(subscription, SubscriptionStatus.PENDING_APPROVAL)
    subscription.decided_by, subscription.decided_at = by.id, timezone.now()
    return change_status(subscription, SubscriptionStatus.REJECTED, SubscriptionEvent.REJECTED, reason=reason, by=by)
