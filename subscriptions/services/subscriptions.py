"""Use cases of a subscription that was decided on: changed, suspended, resumed, revoked, expired."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from catalog.models import Api
from catalog.services.apis import delete_api, lock_api
from stoa_cp.crypto.credentials import new_signing_secret
from stoa_cp.crypto.encryption import encrypt
from stoa_cp.db.changes import apply_changes, as_json
from stoa_cp.domain.actors import SYSTEM, Actor
from stoa_cp.domain.errors import DomainError, NotFound, WrongState
from stoa_cp.domain.issued import Issued
from stoa_cp.domain.times import check_not_past
from stoa_cp.eventlog.emit import emit
from subscriptions.event_types import SubscriptionEvent
from subscriptions.models import LIVE_STATUSES, Subscription, SubscriptionStatus


class SubscriptionNotInState(WrongState):
    """The subscription is not in a state that this decision can start from; somebody may have decided already."""

    def __init__(self, subscription: Subscription) -> None:
        super().__init__(_("The subscription is %(status)s.") % {"status": subscription.get_status_display().lower()})


class ApiInUse(DomainError):
    """Live subscriptions to the API would be cut off."""

    detail_code = "in_use"

    def __init__(self, subscriptions: int) -> None:
        sentence = _("%(count)d live subscriptions use this API; ?cascade=true revokes them.")
        super().__init__(sentence % {"count": subscriptions})


@transaction.atomic
def suspend_subscription(subscription: Subscription, reason: str, *, by: Actor) -> Subscription:
    """Refuse the application's keys until it is resumed. Raises SubscriptionNotInState unless it is active."""
    subscription = lock_subscription(subscription, SubscriptionStatus.ACTIVE)
    return change_status(subscription, SubscriptionStatus.SUSPENDED, SubscriptionEvent.SUSPENDED, reason=reason, by=by)


@transaction.atomic
def resume_subscription(subscription: Subscription, *, by: Actor) -> Subscription:
    """Let a suspended application call again. Raises SubscriptionNotInState unless it is suspended."""
    subscription = lock_subscription(subscription, SubscriptionStatus.SUSPENDED)
    return change_status(subscription, SubscriptionStatus.ACTIVE, SubscriptionEvent.RESUMED, reason="", by=by)


@transaction.atomic
def revoke_subscription(subscription: Subscription, reason: str, *, by: Actor) -> Subscription:
    """Take access away for good; every key stops with this one row. Raises NotFound when it is over already."""
    subscription = lock_subscription(subscription, *SubscriptionStatus)
    if not subscription.is_live:
        raise NotFound
    return change_status(subscription, SubscriptionStatus.REVOKED, SubscriptionEvent.REVOKED, reason=reason, by=by)


@transaction.atomic
def update_subscription(subscription: Subscription, fields: Mapping[str, Any], *, by: Actor) -> Issued[Subscription]:
    """Change the terms of a live subscription.

    The secret that signs its callbacks is shown as ``callback_secret`` if this change gave it its first callback.
    Raises SubscriptionNotInState for one that is over.
    """
    subscription = lock_subscription(subscription, *LIVE_STATUSES)
    changes = apply_changes(subscription, fields)
    if "expires_at" in changes:
        check_not_past("expires_at", subscription.expires_at)
    if not changes:
        return Issued(subscription)
    secrets = ensure_callback_secret(subscription)
    subscription.save()
    data = snapshot(subscription)
    emit(SubscriptionEvent.UPDATED, tenant_id=subscription.tenant_id, actor=by, data=data, changes=changes)
    return Issued(subscription, secrets)


def ensure_callback_secret(subscription: Subscription) -> dict[str, str]:
    """Make the secret that signs the callbacks if there is a callback and no secret yet; return it to be shown."""
    if not subscription.callback_url or subscription.callback_secret:
        return {}
    secret = new_signing_secret()
    subscription.callback_secret = encrypt(secret)
    return {"callback_secret": secret}


@transaction.atomic
def expire_next_subscription() -> Subscription | None:
    """End an active subscription whose time is over; return it, or None if there is no other. Workers share the work.

    One in a transaction: each holds its tenant's event chain, and two workers might take two chains in opposite order.
    """
    due = Subscription.objects.filter(status=SubscriptionStatus.ACTIVE, expires_at__lte=Now(), tenant__deleted_at=None)
    rows = due.select_related("plan").order_by("expires_at")
    subscription = rows.select_for_update(of=("self",), skip_locked=True, no_key=True).first()
    if subscription is None:
        return None
    return change_status(subscription, SubscriptionStatus.EXPIRED, SubscriptionEvent.EXPIRED, reason="", by=SYSTEM)


@transaction.atomic
def delete_api_and_subscriptions(api: Api, *, cascade: bool, by: Actor) -> None:
    """Delete an API, and with ``cascade`` revoke the subscriptions to it. Raises ApiInUse without."""
    api = lock_api(api)
    live = Subscription.objects.live().filter(api=api)
    if not cascade and live.exists():
        raise ApiInUse(live.count())
    # All locked before the first event: somebody who holds one of them may be waiting for the event chain.
    locked = live.select_related("plan").select_for_update(of=("self",), no_key=True).order_by("id")
    for subscription in list(locked):
        change_status(subscription, SubscriptionStatus.REVOKED, SubscriptionEvent.REVOKED, reason="", by=by)
    delete_api(api, by=by)


def lock_subscription(subscription: Subscription, *allowed: SubscriptionStatus) -> Subscription:
    """Lock a subscription until the end of the transaction.

    Raises SubscriptionNotInState unless its status is one of ``allowed``.
    """
    rows = Subscription.objects.select_related("plan", "tenant")
    subscription = rows.select_for_update(of=("self",), no_key=True).get(pk=subscription.pk)
    if subscription.status not in allowed:
        raise SubscriptionNotInState(subscription)
    return subscription


def change_status(
    subscription: Subscription, status: SubscriptionStatus, event: SubscriptionEvent, *, reason: str, by: Actor
) -> Subscription:
    """Set a locked subscription's status and its reason, save it, and announce it."""
    subscription.status, subscription.status_reason = status, reason
    subscription.save()
    emit(event, tenant_id=subscription.tenant_id, actor=by, data=snapshot(subscription))
    return subscription


def snapshot(subscription: Subscription) -> dict[str, Any]:
    """Return the subscription as events show it."""
    return {
        "id": subscription.id,
        "tenant_id": subscription.tenant_id,
        "api_id": subscription.api_id,
        "plan": subscription.plan.slug,
        "application": subscription.application,
        "status": subscription.status,
        "status_reason": subscription.status_reason,
        "callback_url": subscription.callback_url,
        "rate_limit": subscription.rate_limit,
        "quota": subscription.quota,
        "expires_at": as_json(subscription.expires_at),
        "created_by": subscription.created_by,
        "decided_by": subscription.decided_by,
        "decided_at": as_json(subscription.decided_at),
        "created_at": as_json(subscription.created_at),
        "version": subscription.version,
    }
