"""Use cases that revoke keys: one, or many of a tenant together in an emergency."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apikeys.event_types import KeyEvent
from apikeys.models import ApiKey, KeySecret
from apikeys.services.keys import lock_key, snapshot
from stoa_cp.domain.actors import Actor
from stoa_cp.domain.errors import DomainError, InvalidField, NotFound
from stoa_cp.eventlog.emit import EventDraft, emit_all
from tenants.models import Tenant

# One transaction locks this many rows, and holds the head of the tenant's log while it appends as many events.
MAX_KEYS_AT_ONCE = 1_000


class KeyMissing(NotFound):
    """A key that the request names does not exist in the tenant, or is revoked already."""

    detail_code = "not_found"
    message = _("There is no such key, or it is revoked already.")


class CountChanged(DomainError):
    """The filter selects another number of keys than the caller has confirmed."""

    detail_code = "count_changed"

    def __init__(self, count: int) -> None:
        super().__init__(_("The filter selects %(count)s keys now.") % {"count": count}, field="confirm")


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Selects keys for which all of the given conditions are true.

    ``unused_since`` selects keys that were created before that moment and not used from then on.
    """

    subscription_id: str | None = None
    plan: str | None = None
    created_before: datetime | None = None
    unused_since: datetime | None = None

    def apply(self, keys: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        conditions = {
            "subscription": self.subscription_id,
            "subscription__plan__slug": self.plan,
            "created_at__lt": self.created_before,
        }
        keys = keys.filter(**{name: value for name, value in conditions.items() if value is not None})
        if self.unused_since is not None:
            used = KeySecret.objects.filter(key=OuterRef("pk"), last_used_at__gte=self.unused_since)
            keys = keys.filter(~Exists(used), created_at__lt=self.unused_since)
        return keys


@transaction.atomic
def revoke_key(key: ApiKey, *, by: Actor) -> ApiKey:
    """Refuse the key for good, from this commit on. Raises NotFound if it is revoked already."""
    key = lock_key(key)
    _revoke_locked([key], by=by)
    return key


@transaction.atomic
def revoke_named_keys(tenant: Tenant, ids: Sequence[str], *, by: Actor) -> list[ApiKey]:
    """Revoke the keys of these ids, all or none. Raises KeyMissing with the position of the first that is not there."""
    found = {key.id: key for key in _lock(tenant.api_keys.unrevoked().filter(id__in=ids))}
    for position, key_id in enumerate(ids):
        if key_id not in found:
            raise KeyMissing(field=f"ids.{position}")
    return _revoke_locked([found[key_id] for key_id in ids], by=by)


@transaction.atomic
def revoke_selected_keys(tenant: Tenant, selected: KeyFilter, *, confirm: int | None, by: Actor) -> list[ApiKey]:
    """Revoke the keys that the filter selects, if they are as many as ``confirm`` says (None: however many).

    Raises CountChanged, or InvalidField for more than MAX_KEYS_AT_ONCE keys.
    """
    keys = _lock(selected.apply(tenant.api_keys.unrevoked()))
    if len(keys) > MAX_KEYS_AT_ONCE:
        raise InvalidField("", _("The filter selects more than %(count)s keys.") % {"count": MAX_KEYS_AT_ONCE})
    if confirm is not None and confirm != len(keys):
        raise CountChanged(len(keys))
    return _revoke_locked(keys, by=by)


@transaction.atomic
def revoke_oldest_keys(tenant: Tenant, *, by: Actor) -> list[ApiKey]:
    """Revoke up to MAX_KEYS_AT_ONCE keys of the tenant, however many there are; none means that none is left."""
    return _revoke_locked(_lock(tenant.api_keys.unrevoked())[:MAX_KEYS_AT_ONCE], by=by)


def _lock(keys: QuerySet[ApiKey]) -> list[ApiKey]:
    """Lock the keys, one more than may be revoked at most."""
    # In the order of their ids: two sets that overlap then wait for each other instead of ending in a deadlock. A key
    # that was revoked while this waits is not in the result, because PostgreSQL checks the conditions again.
    return list(keys.order_by("id").select_for_update(of=("self",), no_key=True)[: MAX_KEYS_AT_ONCE + 1])


def _revoke_locked(keys: list[ApiKey], *, by: Actor) -> list[ApiKey]:
    """Revoke locked keys of one tenant, and tell of each."""
    if not keys:
        return keys
    now = timezone.now()
    changes: dict[str, Any] = {"revoked_at": now, "updated_at": now, "version": F("version") + 1}
    ApiKey.objects.filter(pk__in=[key.pk for key in keys]).update(**changes)
    for key in keys:
        key.revoked_at = key.updated_at = now
        key.version += 1
    drafts = [EventDraft(KeyEvent.REVOKED, snapshot(key)) for key in keys]
    emit_all(drafts, tenant_id=keys[0].tenant_id, actor=by)
    return keys
