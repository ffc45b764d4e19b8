"""Calls that a meter counts before they are made: given back where they are not, called in where one lacks."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Greatest

from apikeys.models import LeaseState, Meter
from stoa_cp.caching.barrier import wait_for_invalidation


class TokenLease(NamedTuple):
    """Calls that a process may make without asking; ``leased_at`` on the database's clock."""

    subjects: list[str]
    calls: int
    hour: datetime
    month: datetime
    leased_at: datetime


@transaction.atomic
def return_tokens(loans: Iterable[TokenLease]) -> None:
    """Take calls that were not made off the meters that counted them, unless these were reset since.

    Each meter in the order of its name, as everybody locks them. Only the hour and the month that counted a call are
    reduced: others have begun without it.
    """
    owed = sorted((subject, loan) for loan in loans for subject in loan.subjects)
    for subject, loan in owed:
        lender = Meter.objects.filter(Q(reset_at=None) | Q(reset_at__lt=loan.leased_at), subject=subject)
        lender.update(
            hour_calls=Greatest(F("hour_calls") - _calls_of(loan, hour=loan.hour), 0),
            month_calls=Greatest(F("month_calls") - _calls_of(loan, month=loan.month), 0),
        )


def _calls_of(loan: TokenLease, **window: datetime) -> Case:
    return Case(When(**window, then=Value(loan.calls)), default=0)


def recall_tokens(subjects: list[str]) -> None:
    """Have every process give back what it has borrowed from these meters.

    Whoever lacks a call meanwhile does the same: that it is not there is certain only when all have given back.
    """
    meters = Meter.objects.filter(subject__in=subjects)
    _transition(meters, LeaseState.LEASED, LeaseState.RECALLED)
    wait_for_invalidation()
    _transition(meters, LeaseState.RECALLED, LeaseState.NONE)  # unless they have lent again since


def _transition(meters: QuerySet[Meter], before: LeaseState, after: LeaseState) -> None:
    with transaction.atomic():
        # Locked in the order of their names, as everybody does.
        found = meters.filter(leases=before).order_by("subject").select_for_update(no_key=True)
        meters.filter(subject__in=[meter.subject for meter in found]).update(leases=after)
