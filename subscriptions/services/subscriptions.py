"""Use cases of a subscription after the request: change its terms, suspend, resume, revoke and expire it."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
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
from stoa_cp.eventlog.emit import EventDraft, emit, emit_all
from subscriptions.event_types import SubscriptionEvent
from subscriptions.models import LIVE_STATUSES, Subscription, SubscriptionStatus
from subscriptions.services.second_approver import check_decider, is_looser

# What bounds an application's access.
TERMS = frozenset({"rate_limit", "quota", "expires_at"})


class SubscriptionNotInState(WrongState):
    """The subscription is not in a status from which this step is possible; another request may have been faster."""

    def __init__(self, subscription: Subscription) -> None:
        super().__init__(_("The subscription is %(status)s.") % {"status": subscription.get_status_display().lower()})


class ApiInUse(DomainError):
    """The API has live subscriptions, and the caller did not ask to revoke them."""

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
    """Let a suspended application call again.

    Raises SubscriptionNotInState unless it is suspended, SecondApproverRequired.
    """
    subscription = lock_subscription(subscription, SubscriptionStatus.SUSPENDED)
    check_decider(subscription, by)
    return change_status(subscription, SubscriptionStatus.ACTIVE, SubscriptionEvent.RESUMED, reason="", by=by)


@transaction.atomic
def revoke_subscription(subscription: Subscription, reason: str, *, by: Actor) -> Subscription:
    """End access for good. Raises NotFound if the subscription is over already."""
    # The keys are left alone: a decision joins the key with its subscription, so this one row stops them all.
    subscription = lock_subscription(subscription)
    if not subscription.is_live:
        raise NotFound  # as after any DELETE: a second one finds nothing
    return change_status(subscription, SubscriptionStatus.REVOKED, SubscriptionEvent.REVOKED, reason=reason, by=by)


@transaction.atomic
def update_subscription(subscription: Subscription, fields: Mapping[str, Any], *, by: Actor) -> Issued[Subscription]:
    """Change the terms or the callback of a live subscription. No change writes nothing.

    If this gives it its first callback URL, the new secret that signs callbacks is shown as ``callback_secret``.
    Raises SubscriptionNotInState if it is over, InvalidField for an end that has passed, and SecondApproverRequired for
    a looser term.
    """
    subscription = lock_subscription(subscription, *LIVE_STATUSES)
    # Before the change, under the lock. A pending request is no exception: its requester could loosen it between an
    # approver's look and the approval.
    if any(is_looser(getattr(subscription, term), fields[term]) for term in TERMS & fields.keys()):
        check_decider(subscription, by)
    changes = apply_changes(subscription, fields)
    if not changes:
        return Issued(subscription)
    if "expires_at" in changes:  # an end that is sent back unchanged may have passed meanwhile
        check_not_past("expires_at", subscription.expires_at)
    secrets = ensure_callback_secret(subscription)
    subscription.save()
    data = snapshot(subscription)
    emit(SubscriptionEvent.UPDATED, tenant_id=subscription.tenant_id, actor=by, data=data, changes=changes)
    return Issued(subscription, secrets)


def ensure_callback_secret(subscription: Subscription) -> dict[str, str]:
    """Make the secret that signs callbacks, if there is a callback URL and no secret yet. Does not save.

    Return it as ``Issued.secrets``. It is encrypted, not hashed, because every callback is signed with it. A later
    change of the URL keeps it: the receiver has it already.
    """
    if not subscription.callback_url or subscription.callback_secret:
        return {}
    secret = new_signing_secret()
    subscription.callback_secret = encrypt(secret)
    return {"callback_secret": secret}


@transaction.atomic
def expire_next_subscription() -> Subscription | None:
    """End one active subscription whose time is over, and return it; None if no subscription is due.

    The task calls this until it returns None.
    """
    # One per transaction: an event locks its tenant's chain until the commit. A worker that ended several would hold
    # several chains, and two workers could wait for each other.
    # SKIP LOCKED: several workers share the work, and none waits for a row that a request is changing.
    # The database's clock, as in decisions: they refuse the keys from the same moment, before this task has run.
    due = Subscription.objects.filter(status=SubscriptionStatus.ACTIVE, expires_at__lte=Now(), tenant__deleted_at=None)
    rows = due.select_related("plan").order_by("expires_at")
    subscription = rows.select_for_update(of=("self",), skip_locked=True, no_key=True).first()
    if subscription is None:
        return None
    return change_status(subscription, SubscriptionStatus.EXPIRED, SubscriptionEvent.EXPIRED, reason="", by=SYSTEM)


@transaction.atomic
def delete_api_and_subscriptions(api: Api, *, cascade: bool, by: Actor) -> None:
    """Delete an API, and with ``cascade`` revoke the live subscriptions to it.

    Raises ApiInUse if there are any without ``cascade``, NotFound if the API is deleted already.
    """
    # The API first: a request for a subscription locks it too, so that no subscription appears after this line.
    api = lock_api(api)
    live = Subscription.objects.live().filter(api=api)
    if not cascade and live.exists():
        raise ApiInUse(live.count())
    # All are locked before the first event is emitted. Otherwise this transaction would hold the event chain and wait
    # for a subscription, while the transaction that holds the subscription waits for the chain.
    locked = live.select_related("plan").select_for_update(of=("self",), no_key=True).order_by("id")
    _revoke_locked(list(locked), by=by)
    delete_api(api, by=by)


def _revoke_locked(subscriptions: list[Subscription], *, by: Actor) -> None:
    """Revoke locked subscriptions of one tenant, and tell of each.

    One UPDATE and one batch of events for all. One by one, 1,000 subscriptions held the event chain for more than a
    minute, and every other change in the tenant was a 503 meanwhile.
    """
    if not subscriptions:
        return
    after = {"status": SubscriptionStatus.REVOKED, "status_reason": "", "updated_at": timezone.now()}
    ids = [subscription.pk for subscription in subscriptions]
    Subscription.objects.filter(pk__in=ids).update(**after, version=F("version") + 1)
    for subscription in subscriptions:
        apply_changes(subscription, after)
        subscription.version += 1
    drafts = [EventDraft(SubscriptionEvent.REVOKED, snapshot(each)) for each in subscriptions]
    emit_all(drafts, tenant_id=subscriptions[0].tenant_id, actor=by)


def lock_subscription(subscription: Subscription, *allowed: SubscriptionStatus) -> Subscription:
    """Lock a subscription until the end of the transaction, and return its row as it is now, with plan and tenant.

    Raises SubscriptionNotInState unless its status is one of ``allowed``; without any, every status is.
    """
    # Of the subscription alone: `select_related` would lock plan and tenant too, and out of order.
    rows = Subscription.objects.select_related("plan", "tenant")
    subscription = rows.select_for_update(of=("self",), no_key=True).get(pk=subscription.pk)
    if allowed and subscription.status not in allowed:
        raise SubscriptionNotInState(subscription)
    return subscription


def change_status(
    subscription: Subscription, status: SubscriptionStatus, event: SubscriptionEvent, *, reason: str, by: Actor
) -> Subscription:
    """Set the status of a locked subscription, save it and emit the event. Its other unsaved changes are saved too."""
    subscription.status, subscription.status_reason = status, reason
    subscription.save()
    emit(event, tenant_id=subscription.tenant_id, actor=by, data=snapshot(subscription))
    return subscription


def snapshot(subscription: Subscription) -> dict[str, Any]:
    """Return the subscription as events show it, in JSON types.

    It holds what a receiver would otherwise have to ask for, as it was at that moment; of secrets not even a part.
    """
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
