"""Announces that a key is about to expire, and that it has: each warning once, on the database's clock."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Case, F, PositiveSmallIntegerField, Q, QuerySet, When
from django.db.models.functions import Now

from apikeys.event_types import KeyEvent
from apikeys.models import ApiKey
from apikeys.services.keys import snapshot
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.emit import emit
from subscriptions.models import SubscriptionStatus

WARNING_DAYS = (1, 7, 30)


@transaction.atomic
def announce_next_expiry() -> ApiKey | None:
    """Announce what is due of one key; return it, or None if there is no other. Workers share the work.

    One in a transaction: each holds its tenant's event chain, and two workers might take two chains in opposite order.
    """
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
    """Return the keys whose ``stage``, in days before the expiry, was reached and not announced yet."""
    stage = Case(
        When(expires_at__lte=Now(), then=0),
        *(
            # A key that was issued for less than this is no surprise to anybody yet.
            When(
                Q(expires_at__lte=Now() + timedelta(days=days), created_at__lte=F("expires_at") - timedelta(days=days)),
                then=days,
            )
            for days in WARNING_DAYS
        ),
        output_field=PositiveSmallIntegerField(),
    )
    keys: QuerySet[ApiKey] = ApiKey.objects.unrevoked().filter(
        expires_at__lte=Now() + timedelta(days=max(WARNING_DAYS)),
        subscription__status__in=(SubscriptionStatus.ACTIVE, SubscriptionStatus.SUSPENDED),
        tenant__deleted_at=None,
    )
    is_news = Q(announced_days=None) | Q(announced_days__gt=F("stage"))
    return keys.annotate(stage=stage).filter(is_news, stage__isnull=False).order_by("expires_at")
