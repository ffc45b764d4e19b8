"""Writes what came of attempts, together with what it says about the webhook: well, failing, or given up."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext as _

from stoa_cp.domain.actors import SYSTEM
from webhooks.delivery.queue import Outcome, settle
from webhooks.models import Webhook
from webhooks.services import disable_webhook

DISABLE_AFTER_AFTER = timedelta(days=5)
DISABLE_AFTER_FAILURES = 20


@transaction.atomic
def settle_attempts(outcomes: Sequence[Outcome]) -> int:
    """Settle attempts whose leases are still ours, and disable the webhooks that are beyond hope; return how many."""
    locked = _lock_concerned(outcomes)
    ours = settle(outcomes)
    by_webhook = defaultdict(list)
    for outcome in outcomes:
        if outcome.lease.delivery_id in ours and outcome.lease.webhook_id in locked:
            by_webhook[outcome.lease.webhook_id].append(outcome)
    for webhook_id, own in by_webhook.items():
        _note(webhook_id, own)
    _disable(by_webhook)
    return len(ours)


def _lock_concerned(outcomes: Sequence[Outcome]) -> set[str]:
    """Lock the webhooks whose health changes, before their deliveries: whoever changes a webhook does the same.

    One that somebody else holds is left out: its next failure says the same, and the others need not wait.
    """
    concerned = {outcome.lease.webhook_id for outcome in outcomes if outcome.error or outcome.lease.is_failing}
    if not concerned:
        return set()
    rows = Webhook.objects.filter(pk__in=concerned).order_by("pk")
    return set(rows.select_for_update(no_key=True, skip_locked=True).values_list("pk", flat=True))


def _note(webhook_id: str, outcomes: Sequence[Outcome]) -> None:
    row = Webhook.objects.filter(pk=webhook_id)
    if all(outcome.error for outcome in outcomes):
        row.update(failing_since=Coalesce("failing_since", Now()), failure_count=F("failure_count") + len(outcomes))
    else:
        row.update(failing_since=None, failure_count=0)


def _disable(by_webhook: dict[str, list[Outcome]]) -> None:
    gone = [
        webhook_id
        for webhook_id, outcomes in by_webhook.items()
        if any(outcome.answer == HTTPStatus.GONE for outcome in outcomes)
    ]
    enabled = Webhook.objects.enabled().order_by("tenant_id", "pk")  # several event chains are locked in this order
    for webhook in enabled.filter(pk__in=gone):
        disable_webhook(webhook, _("The receiver answered 410 Gone."), by=SYSTEM)
    hopeless = enabled.filter(failing_since__lte=Now() - DISABLE_AFTER_AFTER, failure_count__gte=DISABLE_AFTER_FAILURES)
    for webhook in hopeless.filter(pk__in=by_webhook.keys() - set(gone)):
        disable_webhook(webhook, _("No delivery succeeded for 5 days."), by=SYSTEM)
