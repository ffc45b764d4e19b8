"""Lets go of old deliveries; the events that they carried stay, and can be replayed."""

from datetime import timedelta

from django.db.models.functions import Now

from webhooks.models import Delivery, DeliveryStatus, Webhook

KEPT = timedelta(days=30)
BATCH = 1000


def forget_old_deliveries() -> int:
    """Delete deliveries that ended, or never will, more than 30 days after they began; return how many.

    Webhook by webhook, because that is how the index leads to the oldest. What a disabled webhook will be sent
    once it is enabled stays.
    """
    forgotten = 0
    for webhook in Webhook.objects.only("deleted_at").iterator():
        old = webhook.deliveries.filter(created_at__lte=Now() - KEPT)
        if webhook.deleted_at is None:
            old = old.exclude(status=DeliveryStatus.PENDING)
        while batch := list(old.values_list("pk", flat=True)[:BATCH]):
            Delivery.objects.filter(pk__in=batch).delete()
            forgotten += len(batch)
    return forgotten
