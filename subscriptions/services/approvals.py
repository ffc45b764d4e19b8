"""Use cases of an approver: approve a pending subscription, or reject it.

Doors call ``apikeys.services.access.grant_access``, which approves and issues the first key.
"""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from stoa_cp.db.changes import apply_changes
from stoa_cp.domain.actors import Actor
from stoa_cp.domain.times import check_not_past
from stoa_cp.eventlog.emit import emit
from subscriptions.event_types import SubscriptionEvent
from subscriptions.models import Subscription, SubscriptionStatus
from subscriptions.services.second_approver import check_decider
from subscriptions.services.subscriptions import change_status, lock_subscription, snapshot


@transaction.atomic
def approve_subscription(subscription: Subscription, terms: Mapping[str, Any], *, by: Actor) -> Subscription:
    """Let the application call the API, and announce it.

    ``terms`` are those that the approver sets: ``rate_limit`` (requests per hour), ``quota`` (per calendar month, UTC)
    and ``expires_at``; None is no limit. What is left out is granted as the subscription shows it.
    Raises SubscriptionNotInState unless it is pending, InvalidField for an ``expires_at`` in the past, and
    SecondApproverRequired.
    """
    # Two approvers may click at once: the second waits here, then sees the first's decision. What ``terms`` leaves out
    # is read under this lock too: a limit that a colleague lowers meanwhile must not be granted as it was before.
    subscription = lock_subscription(subscription, SubscriptionStatus.PENDING_APPROVAL)
    check_decider(subscription, by)
    apply_changes(subscription, terms)
    check_not_past("expires_at", subscription.expires_at)
    subscription.status = SubscriptionStatus.ACTIVE
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
