"""Use cases of a key: issue it, change it, rotate its secret, finish the rotation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apikeys.event_types import KeyEvent
from apikeys.models import ApiKey, KeySecret, Mode
from stoa_cp.crypto.credentials import digest, new_credential, pepper_fingerprints
from stoa_cp.db.bounds import check_below
from stoa_cp.db.changes import apply_changes, as_json
from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import NotFound, WrongState
from stoa_cp.domain.issued import Issued
from stoa_cp.domain.times import check_not_past
from stoa_cp.eventlog.emit import emit
from subscriptions.models import Subscription, SubscriptionStatus
from subscriptions.services.subscriptions import SubscriptionNotInState, lock_subscription
from tenants.services import lock_tenant

# Scanners of source code and logs find a leaked key by its prefix; a person tells a test key from a live one.
PREFIXES = {Mode.LIVE: "stoa_live_", Mode.TEST: "stoa_test_"}
SHOWN_CHARACTERS = 4  # of 40 random ones: enough to tell two keys apart, and 36 (214 bits) stay unknown
FIRST_KEY_NAME = "Default"
DEFAULT_OVERLAP_SECONDS = 86_400  # one day to deploy the new secret
MAX_OVERLAP_SECONDS = 30 * 86_400  # a secret that is to be replaced must not stay valid for ever


class RotationUnderWay(WrongState):
    """The old secret of the last rotation is still valid. A key has at most one old secret, which its page can show."""

    message = _("A rotation is under way; finish it first, or force this one.")


class KeyExpired(WrongState):
    """The key has expired, for good: its owner may have let it expire because its secret has leaked."""

    message = _("The key has expired.")


class NoRotationUnderWay(WrongState):
    """The key has no old secret that is still valid."""

    message = _("No rotation is under way.")


@dataclass(frozen=True, slots=True)
class NewKey:
    """The fields of a key to be issued. Without ``expires_at`` it never expires.

    Where it may be used: networks in CIDR notation, methods, and prefixes of paths below the API's; None is anywhere.
    """

    name: str = FIRST_KEY_NAME
    expires_at: datetime | None = None
    mode: str = Mode.LIVE
    allowed_ips: Sequence[str] | None = None
    allowed_methods: Sequence[str] | None = None
    allowed_paths: Sequence[str] | None = None


@transaction.atomic
def issue_key(subscription: Subscription, new: NewKey, *, by: Actor) -> Issued[ApiKey]:
    """Issue a key; its secret is shown as ``key``.

    Raises SubscriptionNotInState unless the subscription is active, InvalidField for an expiry in the past,
    LimitReached.
    """
    tenant = lock_tenant(subscription.tenant)
    check_below(settings.STOA_MAX_KEYS_PER_TENANT, tenant.api_keys.unrevoked())
    # The subscription too: a revocation that is under way must not leave a new key behind.
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
        allowed_ips=new.allowed_ips,
        allowed_methods=new.allowed_methods,
        allowed_paths=new.allowed_paths,
    )
    key.save(force_insert=True)
    _store_secret(key, secret)
    emit(KeyEvent.CREATED, tenant_id=key.tenant_id, actor=by, data=snapshot(key))
    return Issued(key, {"key": secret})


@transaction.atomic
def update_key(key: ApiKey, fields: Mapping[str, Any], *, by: Actor) -> ApiKey:
    """Change the name, the expiry, or where the key may be used. No change writes nothing: no version, no event.

    Raises NotFound if the key is revoked, KeyExpired, InvalidField for an expiry in the past.
    """
    key = lock_key(key)
    _check_unexpired(key)
    changes = _apply_changes(key, fields)
    if changes:
        key.save()
        emit(KeyEvent.UPDATED, tenant_id=key.tenant_id, actor=by, data=snapshot(key), changes=changes)
    return key


@transaction.atomic
def rotate_key(
    key: ApiKey, overlap_seconds: int, *, force: bool = False, fields: Mapping[str, Any] | None = None, by: Actor
) -> Issued[ApiKey]:
    """Give the key a new secret, shown as ``key``; the old one stays valid for ``overlap_seconds``.

    If an old secret is still valid, ``force`` ends it now. ``fields`` are changed with it, as by ``update_key``. Raises
    RotationUnderWay without ``force``, KeyExpired, InvalidField for an expiry in the past, and SubscriptionNotInState
    unless the subscription is active.
    """
    key = lock_key(key)
    _check_rotation(key, force=force)
    changes = _apply_changes(key, fields or {})
    # Every time that is compared here is the database's, as in decisions: a web server whose clock is late would
    # otherwise cut the overlap short.
    key.secrets.filter(valid_until__gt=Now()).update(valid_until=Now())
    key.secrets.filter(valid_until=None).update(valid_until=Now() + timedelta(seconds=overlap_seconds))
    secret = new_credential(PREFIXES[Mode(key.mode)])
    _store_secret(key, secret)
    key.start = shown_start(secret)
    key.save()
    emit(KeyEvent.ROTATED, tenant_id=key.tenant_id, actor=by, data=snapshot(key), changes=changes)
    return Issued(key, {"key": secret})


def _check_rotation(key: ApiKey, *, force: bool) -> None:
    # The subscription is not locked: if it ends at this moment, the new secret stops working like the old one.
    if key.subscription.status != SubscriptionStatus.ACTIVE:
        raise SubscriptionNotInState(key.subscription)
    _check_unexpired(key)
    if not force and key.secrets.filter(valid_until__gt=Now()).exists():
        raise RotationUnderWay


def _check_unexpired(key: ApiKey) -> None:
    if ApiKey.objects.filter(pk=key.pk, expires_at__lte=Now()).exists():
        raise KeyExpired


def _apply_changes(key: ApiKey, fields: Mapping[str, Any]) -> dict[str, list[Any]]:
    changes = apply_changes(key, fields)
    if "expires_at" in changes:
        check_not_past("expires_at", key.expires_at)
        key.announced_days = None  # the warnings of another expiry are due again
    return changes


@transaction.atomic
def finish_rotation(key: ApiKey, *, by: Actor) -> ApiKey:
    """End the old secret now. Raises NoRotationUnderWay if none is valid."""
    key = lock_key(key)
    if not key.secrets.filter(valid_until__gt=Now()).update(valid_until=Now()):
        raise NoRotationUnderWay
    key.save()  # for its version only: the ETag must change with what a read shows
    emit(KeyEvent.ROTATED, tenant_id=key.tenant_id, actor=by, data=snapshot(key) | {"finished": True})
    return key


def lock_key(key: ApiKey) -> ApiKey:
    """Lock a key until the end of the transaction, and return its row as it is now. Raises NotFound if revoked."""
    # Of the key alone: `select_related` would lock the subscription too, and out of order.
    rows = ApiKey.objects.unrevoked().select_related("subscription")
    locked = rows.select_for_update(of=("self",), no_key=True).filter(pk=key.pk).first()
    if locked is None:
        raise NotFound
    return locked


def _store_secret(key: ApiKey, secret: str) -> None:
    KeySecret.objects.create(key=key, digest=digest(secret), pepper=pepper_fingerprints()[0])


def shown_start(secret: str) -> str:
    """Return the part of a secret that stays readable: ``stoa_live_0123…``."""
    return secret[: len(PREFIXES[Mode.LIVE]) + SHOWN_CHARACTERS] + "…"


def snapshot(key: ApiKey) -> dict[str, Any]:
    """Return the key as events show it, in JSON types: the start of its secret, never more.

    Not the status: it depends on the clock, and an event must stay true.
    """
    return {
        "id": key.id,
        "tenant_id": key.tenant_id,
        "subscription_id": key.subscription_id,
        "name": key.name,
        "mode": key.mode,
        "start": key.start,
        "expires_at": as_json(key.expires_at),
        "allowed_ips": key.allowed_ips,
        "allowed_methods": key.allowed_methods,
        "allowed_paths": key.allowed_paths,
        "revoked_at": as_json(key.revoked_at),
        "created_at": as_json(key.created_at),
        "version": key.version,
    }
