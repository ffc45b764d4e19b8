"""Settles attempts, and with them the health of their webhooks: failing since when, how often, and for too long."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus

import structlog
from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext as _

from stoa_cp.domain.actors import SYSTEM
from stoa_cp.domain.errors import NotFound
from webhooks.delivery.queue import Outcome, settle
from webhooks.models import Webhook
from webhooks.services import disable_webhook

logger = structlog.get_logger(__name__)

# Both must be reached. Five days are longer than the schedule of one delivery (75 h 35 m and up to 20 % of jitter),
# so that the first delivery that failed has used its attempts. Twenty failures are more than the ten of one
# delivery, so that a single event that a receiver cannot process does not disable a webhook with few events.
DISABLE_AFTER = timedelta(days=5)
DISABLE_AFTER_FAILURES = 20
# A change of many rows of a tenant may hold its event chain for seconds. This thread serves all tenants meanwhile.
DISABLE_LOCK_TIMEOUT = "100ms"


def settle_attempts(outcomes: Sequence[Outcome]) -> int:
    """Settle the attempts whose leases are still ours, and return how many. Disable webhooks that failed for too long.

    Disabling comes after the settlement is committed: it waits for the event chain of one tenant, and the deliveries of
    all others must not be sent again because of that.
    """
    settled, by_webhook = _settle(outcomes)
    _disable_failed(by_webhook)
    return settled


@transaction.atomic
def _settle(outcomes: Sequence[Outcome]) -> tuple[int, Mapping[str, Sequence[Outcome]]]:
    """Settle, and record the health of the webhooks; return how many, and the outcomes that count for each webhook.

    One transaction, so that a crash cannot record an attempt without what it says about the webhook.
    """
    locked = _lock_webhooks(outcomes)
    settled = settle(outcomes)
    by_webhook = defaultdict(list)
    for outcome in outcomes:
        if outcome.lease.delivery_id in settled and outcome.lease.webhook_id in locked:
            by_webhook[outcome.lease.webhook_id].append(outcome)
    for webhook_id, own in by_webhook.items():
        _record_health(webhook_id, own)
    return len(settled), by_webhook


def _lock_webhooks(outcomes: Sequence[Outcome]) -> set[str]:
    """Lock the webhooks whose health changes, and return their ids.

    Before their deliveries, in the lock order of every service that changes a webhook. A success of a healthy
    webhook changes nothing, so the ordinary settlement locks none. A webhook that is locked already is left out:
    its next failure has the same effect, and waiting for one webhook would delay the settlement of all others.
    """
    changing = {outcome.lease.webhook_id for outcome in outcomes if outcome.error or outcome.lease.is_failing}
    if not changing:
        return set()
    rows = Webhook.objects.filter(pk__in=changing).order_by("pk")
    return set(rows.select_for_update(no_key=True, skip_locked=True).values_list("pk", flat=True))


def _record_health(webhook_id: str, outcomes: Sequence[Outcome]) -> None:
    # With update(), not save(): health is no change by the owner, so the version stays.
    row = Webhook.objects.filter(pk=webhook_id)
    if all(outcome.error for outcome in outcomes):
        row.update(failing_since=Coalesce("failing_since", Now()), failure_count=F("failure_count") + len(outcomes))
    else:
        row.update(failing_since=None, failure_count=0)


def _disable_failed(by_webhook: Mapping[str, Sequence[Outcome]]) -> None:
    gone = [
        webhook_id
        for webhook_id, outcomes in by_webhook.items()
        if any(outcome.response_status == HTTPStatus.GONE for outcome in outcomes)
    ]
    enabled = Webhook.objects.enabled().order_by("pk")
    for webhook in enabled.filter(pk__in=gone):
        _disable(webhook, _("The receiver answered 410 Gone."))
    failed = enabled.filter(failing_since__lte=Now() - DISABLE_AFTER, failure_count__gte=DISABLE_AFTER_FAILURES)
    for webhook in failed.filter(pk__in=by_webhook.keys() - set(gone)):
        _disable(webhook, _("No delivery succeeded for 5 days."))


def _disable(webhook: Webhook, reason: str) -> None:
    """Disable, unless its tenant's event chain stays locked: then the next failure does it."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [DISABLE_LOCK_TIMEOUT])
            disable_webhook(webhook, reason, by=SYSTEM)
    except (OperationalError, NotFound) as error:  # NotFound: its owner has just deleted it
        logger.warning("webhook_not_disabled", webhook_id=webhook.id, error=str(error))
