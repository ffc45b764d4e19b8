"""Token leases: calls that a meter has counted in advance.

Unused tokens are returned to the meter, and recalled from all processes when a call needs one.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Greatest

from apikeys.models import LeaseState, Meter
from stoa_cp.caching.barrier import wait_for_invalidation


class TokenLease(NamedTuple):
    """``calls`` tokens of the meters ``subjects``, counted in ``hour`` and ``month``; all times are the database's."""

    subjects: list[str]
    calls: int
    hour: datetime
    month: datetime
    leased_at: datetime


@transaction.atomic
def return_tokens(leases: Iterable[TokenLease]) -> None:
    """Subtract unused tokens from the meters that counted them.

    Only from the hour and the month that counted them: a later one began without them. Not from a meter that was reset
    after the lease: it began at zero.
    """
    # Sorted by the meters' subjects, the lock order of all transactions that change meters.
    tokens = sorted((subject, lease) for lease in leases for subject in lease.subjects)
    for subject, lease in tokens:
        meter = Meter.objects.filter(Q(reset_at=None) | Q(reset_at__lt=lease.leased_at), subject=subject)
        # Not below zero: the column takes no negative number, and its error would keep all other tokens from returning.
        meter.update(
            hour_calls=Greatest(F("hour_calls") - _calls_of(lease, hour=lease.hour), 0),
            month_calls=Greatest(F("month_calls") - _calls_of(lease, month=lease.month), 0),
        )


def _calls_of(lease: TokenLease, **window: datetime) -> Case:
    return Case(When(**window, then=Value(lease.calls)), default=0)


def recall_tokens(subjects: list[str]) -> None:
    """Have every process return its unused tokens of these meters; they are returned when this function returns.

    The change of the meters' rows notifies every process, whose cache then drops these decisions and returns their
    tokens. Concurrent calls may recall too, each for itself: a call may be refused only after every process has
    returned its tokens. Processes may lease tokens again in the meantime, in smaller blocks; then the meter is not set
    to NONE.
    """
    meters = Meter.objects.filter(subject__in=subjects)
    _set_state(meters, LeaseState.LEASED, LeaseState.RECALLED)
    wait_for_invalidation()
    _set_state(meters, LeaseState.RECALLED, LeaseState.NONE)


def _set_state(meters: QuerySet[Meter], before: LeaseState, after: LeaseState) -> None:
    with transaction.atomic():
        # An UPDATE of several rows locks them in any order; so they are locked before, in the order of their subjects.
        found = meters.filter(leases=before).order_by("subject").select_for_update(no_key=True)
        meters.filter(subject__in=[meter.subject for meter in found]).update(leases=after)
