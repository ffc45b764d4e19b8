"""Opens the meters of subscriptions and APIs, announces a used quota, and resets them; ``statement`` counts on them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now, TruncHour, TruncMonth

from apikeys.decisions.checks import ANNOUNCEMENTS
from apikeys.decisions.statement import month_after
from apikeys.event_types import QuotaEvent
from apikeys.models import LeaseState, Meter
from stoa_cp.domain.actors import SYSTEM, Actor
from stoa_cp.domain.errors import NotFound
from stoa_cp.eventlog.emit import emit
from subscriptions.models import Subscription


def open_meters(tenant_id: str, subjects: Sequence[str | None]) -> None:
    """Make the meters that are missing, at zero; of two that do it at once, both find them."""
    hour, month = TruncHour(Now()), TruncMonth(Now())
    rows = [Meter(subject=subject, tenant_id=tenant_id, hour=hour, month=month) for subject in subjects if subject]
    Meter.objects.bulk_create(rows, ignore_conflicts=True)


def percent_to_announce(used: int, quota: int) -> int:
    """Return the largest announced share that is reached: 0, 80 or 100."""
    return max((percent for percent, _event in ANNOUNCEMENTS if used * 100 >= quota * percent), default=0)


@transaction.atomic
def announce_quota(subscription_id: str) -> None:
    """Tell that 80 or 100 % of this month's quota are used, unless it was told already."""
    meter = lock_meter(subscription_id)
    subscription = Subscription.objects.get(pk=subscription_id)
    quota = subscription.quota
    if quota is None:
        return
    for percent, event in ANNOUNCEMENTS:
        if meter.announced_percent < percent and meter.month_calls * 100 >= quota * percent:
            data = snapshot(meter) | {"quota": quota, "percent": percent}
            emit(event, tenant_id=meter.tenant_id, actor=SYSTEM, data=data)
            meter.announced_percent = percent
    meter.save(update_fields=["announced_percent"])


@transaction.atomic
def reset_meter(meter: Meter, *, by: Actor) -> Meter:
    """Set an hour's and a month's count to zero, and be ready to announce the quota again. Raises NotFound."""
    meter = lock_meter(meter.subject)
    data = snapshot(meter)
    meter.hour_calls = meter.month_calls = meter.announced_percent = 0
    meter.leases, meter.reset_at = LeaseState.NONE, Now()
    meter.save(update_fields=["hour_calls", "month_calls", "announced_percent", "leases", "reset_at"])
    emit(QuotaEvent.RESET, tenant_id=meter.tenant_id, actor=by, data=data)
    return meter


def lock_meter(subject: str) -> Meter:
    """Lock a meter until the end of the transaction: nobody's call passes meanwhile. Raises NotFound."""
    meter = Meter.objects.select_for_update(no_key=True).filter(pk=subject).first()
    if meter is None:
        raise NotFound
    return meter


def snapshot(meter: Meter) -> dict[str, Any]:
    """Return the month's count as events show it."""
    last_day = month_after(meter.month) - timedelta(days=1)
    of_whom = "subscription_id" if meter.subject.startswith("sub-") else "api_id"
    return {
        of_whom: meter.subject,
        "period": {"start": meter.month.date().isoformat(), "end": last_day.date().isoformat()},
        "used": meter.month_calls,
    }
