"""Use cases that touch a subscription and a key in one transaction: subscribe, and approve with a first key.

They stand in this app and not in ``subscriptions``, because an app imports only what stands to its left.
"""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from apikeys.services.keys import NewKey, issue_key
from stoa_cp.domain.actors import SYSTEM, Actor
from stoa_cp.domain.issued import Issued
from subscriptions.models import Subscription
from subscriptions.services.approvals import approve_subscription
from subscriptions.services.requests import NewSubscription, request_subscription
from subscriptions.services.second_approver import is_approved_by_plan
from tenants.models import Tenant
from tenants.services import lock_tenant


@transaction.atomic
def subscribe(tenant: Tenant, new: NewSubscription, *, by: Actor) -> Issued[Subscription]:
    """Request access; a plan with automatic approval grants it at once, unless the requester has set its terms.

    That exception is STOA_REQUIRE_SECOND_APPROVER's. Raises as request_subscription does.

    The secrets are those of ``grant_access`` and of ``request_subscription``.
    """
    requested = request_subscription(tenant, new, by=by)
    subscription = requested.resource
    if not is_approved_by_plan(subscription):
        return requested
    # The author of the plan decided, not the requester. So the actor is the system.
    granted = grant_access(subscription, {}, by=SYSTEM)
    return Issued(granted.resource, {**granted.secrets, **requested.secrets})


@transaction.atomic
def grant_access(
    subscription: Subscription, terms: Mapping[str, Any], *, with_key: bool = True, by: Actor
) -> Issued[Subscription]:
    """Approve a subscription and issue its first key, shown as ``api_key``. Raises as approve_subscription does."""
    # Before the subscription, although only issue_key needs it: the order of locks begins with the tenant.
    lock_tenant(subscription.tenant)
    subscription = approve_subscription(subscription, terms, by=by)
    if not with_key:
        return Issued(subscription)
    return Issued(subscription, {"api_key": issue_key(subscription, NewKey(), by=by).secret})
