"""The life of an API key: issued, rotated, revoked, expired. Every write goes through here."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apikeys.event_types import KeyEvent
from apikeys.models import ApiKey, KeySecret, Mode
from stoa_cp.crypto.credentials import digest, new_credential
from stoa_cp.db.changes import as_json
from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import NotFound, WrongState
from stoa_cp.domain.issued import Issued
from stoa_cp.domain.times import check_not_past
from stoa_cp.eventlog.emit import emit
from subscriptions.models import Subscription, SubscriptionStatus
from subscriptions.services.subscriptions import SubscriptionNotInState, lock_subscription
from tenants.services import lock_tenant

PREFIXES = {Mode.LIVE: "stoa_live_", Mode.TEST: "stoa_test_"}
SHOWN_CHARACTERS = 4
FIRST_KEY_NAME = "Default"
DEFAULT_OVERLAP_SECONDS = 86_400
MAX_OVERLAP_SECONDS = 30 * 86_400


class RotationUnderWay(WrongState):
    """The overlap of the last rotation is still open; a third secret would make it unclear which one to retire."""

    message = _("A rotation is under way; finish it first, or force this one.")


class KeyExpired(WrongState):
    """A new secret would not open anything."""

    message = _("The key has expired.")


class NoRotationUnderWay(WrongState):
    """There is no old secret to retire."""

    message = _("No rotation is under way.")


@dataclass(frozen=True, slots=True)
class NewKey:
    """What is asked of a key to be."""

    name: str = FIRST_KEY_NAME
    expires_at: datetime | None = None
    mode: str = Mode.LIVE


@transaction.atomic
def issue_key(subscription: Subscription, new: NewKey, *, by: Actor) -> Issued[ApiKey]:
    """Issue a key; its secret is shown as ``key``.

    Raises SubscriptionNotInState unless the subscription is active, InvalidField for an expiry in the past.
    """
    lock_tenant(subscription.tenant)
    subscription = lock_subscription(subscription, SubscriptionStatus.ACTIVE)
    check_not_past("expires_at", new.expires_at)
    secret = new_credential(PREFIXES[Mode(new.mode)])
    key = ApiKey(
        tenant_id=subscription.tenant_id,
        subscription=subscription,
        name=new.name,
        mode=new.mode,
        start=shown_start(secret),
        expires_at=new.expires_at,
    )
    key.save(force_insert=True)
    KeySecret.objects.create(key=key, digest=digest(secret))
    emit(KeyEvent.CREATED, tenant_id=key.tenant_id, actor=by, data=snapshot(key))
    return Issued(key, {"key": secret})


@transaction.atomic
def rotate_key(key: ApiKey, overlap_seconds: int, *, force: bool = False, by: Actor) -> Issued[ApiKey]:
    """Give the key a new secret; the old one stays valid for ``overlap_seconds``.

    With ``force`` an overlap that is still open ends now. Raises RotationUnderWay without it, KeyExpired,
    SubscriptionNotInState unless the subscription is active.
    """
    key = lock_key(key)
    _refuse_to_rotate(key)
    if not force and key.secrets.filter(valid_until__gt=Now()).exists():
        raise RotationUnderWay
    key.secrets.filter(valid_until__gt=Now()).update(valid_until=Now())
    key.secrets.filter(valid_until=None).update(valid_until=Now() + timedelta(seconds=overlap_seconds))
    secret = new_credential(PREFIXES[Mode(key.mode)])
    KeySecret.objects.create(key=key, digest=digest(secret))
    key.start = shown_start(secret)
    key.save()
    emit(KeyEvent.ROTATED, tenant_id=key.tenant_id, actor=by, data=snapshot(key))
    return Issued(key, {"key": secret})


def _refuse_to_rotate(key: ApiKey) -> None:
    # Not locked: if the subscription ends at this moment, the new secret ends with it, like any other.
    if key.subscription.status != SubscriptionStatus.ACTIVE:
        raise SubscriptionNotInState(key.subscription)
    if key.expires_at and key.expires_at <= timezone.now():
        raise KeyExpired


@transaction.atomic
def finish_rotation(key: ApiKey, *, by: Actor) -> ApiKey:
    """Retire the old secret now. Raises NoRotationUnderWay."""
    key = lock_key(key)
    if not key.secrets.filter(valid_until__gt=Now()).update(valid_until=Now()):
        raise NoRotationUnderWay
    key.save()
    emit(KeyEvent.ROTATED, tenant_id=key.tenant_id, actor=by, data=snapshot(key) | {"finished": True})
    return key


@transaction.atomic
def revoke_key(key: ApiKey, *, by: Actor) -> ApiKey:
    """Refuse the key for good, from this commit on. Raises NotFound when it is revoked already."""
    key = lock_key(key)
    key.revoked_at = timezone.now()
    key.save()
    emit(KeyEvent.REVOKED, tenant_id=key.tenant_id, actor=by, data=snapshot(key))
    return key


def lock_key(key: ApiKey) -> ApiKey:
    """Lock a key until the end of the transaction. Raises NotFound for a revoked one."""
    rows = ApiKey.objects.unrevoked().select_related("subscription")
    locked = rows.select_for_update(of=("self",), no_key=True).filter(pk=key.pk).first()
    if locked is None:
        raise NotFound
    return locked


def shown_start(secret: str) -> str:
    """Return what may be read again of a secret: ``stoa_live_0123…``."""
    return secret[: len(PREFIXES[Mode.LIVE]) + SHOWN_CHARACTERS] + "…"


def snapshot(key: ApiKey) -> dict[str, Any]:
    """Return the key as events show it: never its secret."""
    return {
        "id": key.id,
        "tenant_id": key.tenant_id,
        "subscription_id": key.subscription_id,
        "name": key.name,
        "mode": key.mode,
        "start": key.start,
        "expires_at": as_json(key.expires_at),
        "revoked_at": as_json(key.revoked_at),
        "created_at": as_json(key.created_at),
        "version": key.version,
    }
