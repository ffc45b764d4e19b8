"""Announces that a key expires soon, and that it has expired: each warning once, on the database's clock."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Case, F, PositiveSmallIntegerField, Q, QuerySet, When
from django.db.models.functions import Now

from apikeys.event_types import KeyEvent
from apikeys.models import TO_ANNOUNCE, ApiKey
from apikeys.services.keys import snapshot
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.emit import emit
from subscriptions.models import SubscriptionStatus

# Days before the expiry: a month, a week, a day. The shortest comes first, so that after an outage of the workers only
# the most urgent warning is announced, not every one that was missed.
WARNING_DAYS = (1, 7, 30)


@transaction.atomic
def announce_next_expiry() -> ApiKey | None:
    """Announce the expiry of one key that is due, and return the key; None if no key is due.

    The task calls this until it returns None.
    """
    # One key per transaction: an event locks its tenant's chain until the commit. A worker that announced several keys
    # in one transaction would hold several chains, and two workers could wait for each other.
    # SKIP LOCKED: several workers share the work, and none waits for a key that a request is changing.
    key = _due().select_for_update(of=("self",), skip_locked=True, no_key=True).first()
    if key is None:
        return None
    days_left: int = key.stage  # type: ignore[attr-defined]  # the annotation of _due
    key.announced_days = days_left
    key.save()
    event = KeyEvent.EXPIRING if days_left else KeyEvent.EXPIRED
    emit(event, tenant_id=key.tenant_id, actor=SYSTEM, data=snapshot(key))
    return key


def _due() -> QuerySet[ApiKey]:
    """Return the keys with a warning that is due and not announced yet: its days left are ``stage``, 0 if expired.

    Keys of subscriptions that are not live, and of deleted tenants, are left out: they open nothing.
    """
    stage = Case(
        When(expires_at__lte=Now(), then=0),
        *(
            # No warning of 30 days for a key that was issued for 10: its owner has just chosen that date.
            When(
                Q(expires_at__lte=Now() + timedelta(days=days), created_at__lte=F("expires_at") - timedelta(days=days)),
                then=days,
            )
            for days in WARNING_DAYS
        ),
        output_field=PositiveSmallIntegerField(),
    )
    keys: QuerySet[ApiKey] = ApiKey.objects.filter(
        TO_ANNOUNCE,
        expires_at__lte=Now() + timedelta(days=max(WARNING_DAYS)),
        subscription__status__in=(SubscriptionStatus.ACTIVE, SubscriptionStatus.SUSPENDED),
        tenant__deleted_at=None,
    )
    is_news = Q(announced_days=None) | Q(announced_days__gt=F("stage"))
    return keys.annotate(stage=stage).filter(is_news, stage__isnull=False).order_by("expires_at")
