"""Deletes old deliveries. Their events stay in the log, and can be replayed."""

from datetime import timedelta

from django.db.models.functions import Now

from webhooks.models import Delivery, DeliveryStatus, Webhook

# Long enough to investigate a failure: even with the longest delays that a receiver may ask for, the last of ten
# attempts is made within 10 days. Not for ever, because there is a row with a body for each event and webhook.
RETENTION = timedelta(days=30)
# Attempts are deleted with their deliveries, so a batch can be eleven times as many rows. Each batch is a
# transaction of its own: it holds its locks briefly, and an interrupted run keeps what it has done.
DELETE_BATCH_SIZE = 1000


def delete_old_deliveries() -> int:
    """Delete deliveries that were created more than 30 days ago and will not be sent any more; return how many.

    Pending deliveries stay, because a disabled webhook receives them once it is enabled. Those of a deleted webhook go:
    nothing will be sent to it.
    """
    deleted = 0
    # Webhook by webhook, because the index on deliveries begins with the webhook.
    for webhook in Webhook.objects.only("deleted_at").iterator():
        old = webhook.deliveries.filter(created_at__lte=Now() - RETENTION)
        if webhook.deleted_at is None:
            old = old.exclude(status=DeliveryStatus.PENDING)
        while batch := list(old.values_list("pk", flat=True)[:DELETE_BATCH_SIZE]):
            Delivery.objects.filter(pk__in=batch).delete()
            deleted += len(batch)
    return deleted
