"""Keeps the callback of a subscription up to date: a webhook that follows the subscription's ``callback_url``."""

from collections.abc import Iterable, Mapping

from django.utils import timezone

from stoa_cp.eventlog.models import Event
from subscriptions.models import Subscription
from webhooks.delivery.queue import resume_deliveries
from webhooks.models import Webhook, WebhookStatus

# For each family of events that are about a subscription: the member of ``data`` that names the subscription.
SUBSCRIPTION_ID_IN: Mapping[str, str] = {"subscription": "id", "quota": "subscription_id"}


def subscription_id_of(event: Event) -> str | None:
    """Return the id of the subscription that the event is about; None if it is not about a subscription."""
    member = SUBSCRIPTION_ID_IN.get(event.type.partition(".")[0])
    return event.data.get(member) if member else None


def sync_callbacks(events: Iterable[Event]) -> None:
    """Bring the callbacks of these events' subscriptions up to date with the rows of the subscriptions.

    At fan-out, not when a subscription changes: ``subscriptions`` stands below this app and must not import it.
    Nothing is missed, because every change of a ``callback_url`` has an event.
    """
    ids = {subscription_id_of(event) for event in events} - {None}
    if not ids:
        return
    callbacks = {callback.subscription_id: callback for callback in Webhook.objects.filter(subscription__in=ids)}
    for subscription in Subscription.objects.filter(id__in=ids):
        callback = callbacks.get(subscription.id)
        if not (subscription.callback_url and subscription.callback_secret):
            _delete(callback)
        elif callback is None:
            _create(subscription, subscription.callback_url)
        elif callback.url != subscription.callback_url or callback.deleted_at:
            _redirect(callback, subscription, subscription.callback_url)


def _create(subscription: Subscription, url: str) -> None:
    callback = Webhook(
        tenant_id=subscription.tenant_id,
        subscription=subscription,
        url=url,
        events=[f"{family}.*" for family in SUBSCRIPTION_ID_IN],
        secret=subscription.callback_secret,
    )
    # Two workers may fan out two events of a new subscription at once. The second keeps the first one's row.
    Webhook.objects.bulk_create([callback], ignore_conflicts=True)


def _redirect(callback: Webhook, subscription: Subscription, url: str) -> None:
    """Send to the new URL. A callback that was disabled or deleted is enabled: another URL is another receiver."""
    callback.url, callback.secret, callback.deleted_at = url, subscription.callback_secret, None
    callback.status, callback.disabled_reason = WebhookStatus.ENABLED, ""
    callback.failing_since, callback.failure_count = None, 0
    callback.save()
    resume_deliveries(callback)


def _delete(callback: Webhook | None) -> None:
    if callback is not None and callback.deleted_at is None:
        callback.deleted_at = timezone.now()
        callback.save()
