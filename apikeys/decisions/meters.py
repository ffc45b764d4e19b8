"""The meters of subscriptions and APIs: creates and resets them, and announces a quota that is used up or nearly so.

``apikeys.decisions.statement`` counts on them.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now, TruncHour, TruncMonth

from apikeys.decisions.checks import ANNOUNCEMENTS
from apikeys.decisions.windows import month_after
from apikeys.event_types import QuotaEvent
from apikeys.models import TEST_METER_PREFIX, LeaseState, Meter, Mode
from stoa_cp.domain.actors import SYSTEM, Actor
from stoa_cp.domain.errors import NotFound
from stoa_cp.eventlog.emit import emit
from subscriptions.models import Subscription
from subscriptions.services.second_approver import check_decider


def open_meters(tenant_id: str, subjects: Sequence[str | None]) -> None:
    """Create the meters that are missing, at zero. Of two calls that do so at once, both find them afterwards."""
    hour, month = TruncHour(Now()), TruncMonth(Now())
    rows = [Meter(subject=subject, tenant_id=tenant_id, hour=hour, month=month) for subject in subjects if subject]
    Meter.objects.bulk_create(rows, ignore_conflicts=True)


def percent_to_announce(used: int, quota: int) -> int:
    """Return the largest percentage of ANNOUNCEMENTS that is reached: 0, 80 or 100."""
    return max((percent for percent, _event in ANNOUNCEMENTS if used * 100 >= quota * percent), default=0)


@transaction.atomic
def announce_quota(subscription_id: str) -> None:
    """Emit the events for 80 and 100 % of this month's quota that are due and were not emitted yet."""
    # Many calls may find an announcement due at once: the first emits it, the others wait here and find it done.
    meter = lock_meter(Meter.objects.get(subject=subscription_id))
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
    """Set the hour's and the month's count to zero, and let the quota be announced again.

    Raises NotFound, and SecondApproverRequired for the meter of a subscription that the actor has asked for.
    Tokens that were leased before are not returned to the meter afterwards: see ``return_tokens``.
    """
    meter = lock_meter(meter)
    # A second quota in one month is more access, as a higher quota is. Not locked: a requester never changes.
    for subscription in Subscription.objects.filter(pk=_subject(meter).get("subscription_id")):
        check_decider(subscription, by)
    data = snapshot(meter)
    meter.hour_calls = meter.month_calls = meter.announced_percent = 0
    meter.leases, meter.reset_at = LeaseState.NONE, Now()
    meter.save(update_fields=["hour_calls", "month_calls", "announced_percent", "leases", "reset_at"])
    emit(QuotaEvent.RESET, tenant_id=meter.tenant_id, actor=by, data=data)
    return meter


def lock_meter(meter: Meter) -> Meter:
    """Lock a meter until the end of the transaction: calls that count on it wait until then. Raises NotFound."""
    locked = Meter.objects.select_for_update(no_key=True).filter(pk=meter.pk).first()
    if locked is None:
        raise NotFound
    return locked


def snapshot(meter: Meter) -> dict[str, Any]:
    """Return the month's count as events show it."""
    last_day = month_after(meter.month) - timedelta(days=1)
    return {
        **_subject(meter),
        "period": {"start": meter.month.date().isoformat(), "end": last_day.date().isoformat()},
        "used": meter.month_calls,
    }


def _subject(meter: Meter) -> dict[str, Any]:
    """Return whose calls a meter counts: a subscription's, by live or by test keys, or an API's."""
    if meter.mode == Mode.TEST:
        return {"subscription_id": meter.subject.replace(TEST_METER_PREFIX, "sub-", 1), "mode": Mode.TEST.value}
    field = "subscription_id" if meter.subject.startswith("sub-") else "api_id"
    return {field: meter.subject}
