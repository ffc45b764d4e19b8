"""Keeps the callback of a subscription in step with its ``callback_url``: a webhook that nobody registered."""

from collections.abc import Iterable, Mapping

from django.utils import timezone

from stoa_cp.eventlog.models import Event
from subscriptions.models import Subscription
from webhooks.models import Webhook, WebhookStatus

# Where the event names the subscription that it is about, for each family that is about one.
SUBSCRIPTION_ID_IN: Mapping[str, str] = {"subscription": "id", "quota": "subscription_id"}


def subscription_of(event: Event) -> str | None:
    """Return the id of the subscription whose own event this is."""
    member = SUBSCRIPTION_ID_IN.get(event.type.partition(".")[0])
    return event.data.get(member) if member else None


def sync_callbacks(events: Iterable[Event]) -> None:
    """Make the callbacks of these events' subscriptions what their rows say now.

    Reading the rows when their events are fanned out, and not when they change, keeps ``subscriptions`` ignorant
    of webhooks: every change of a ``callback_url`` has an event.
    """
    ids = {subscription_of(event) for event in events} - {None}
    if not ids:
        return
    callbacks = {callback.subscription_id: callback for callback in Webhook.objects.filter(subscription__in=ids)}
    for subscription in Subscription.objects.filter(id__in=ids):
        callback = callbacks.get(subscription.id)
        if not (subscription.callback_url and subscription.callback_secret):
            _close(callback)
        elif callback is None:
            _open(subscription, subscription.callback_url)
        elif callback.url != subscription.callback_url or callback.deleted_at:
            _transition(callback, subscription, subscription.callback_url)


def _open(subscription: Subscription, url: str) -> None:
    callback = Webhook(
        tenant_id=subscription.tenant_id,
        subscription=subscription,
        url=url,
        events=[f"{family}.*" for family in SUBSCRIPTION_ID_IN],
        secret=subscription.callback_secret,
    )
    # Two workers may fan out two events of a new subscription at once; the second finds the first's row.
    Webhook.objects.bulk_create([callback], ignore_conflicts=True)


def _transition(callback: Webhook, subscription: Subscription, url: str) -> None:
    """Send elsewhere from now on, which is a new start for a callback that was disabled or closed."""
    callback.url, callback.secret, callback.deleted_at = url, subscription.callback_secret, None
    callback.status, callback.disabled_reason = WebhookStatus.ENABLED, ""
    callback.failing_since, callback.failure_count = None, 0
    callback.save()


def _close(callback: Webhook | None) -> None:
    if callback is not None and callback.deleted_at is None:
        callback.deleted_at = timezone.now()
        callback.save()
