"""Deletes old deliveries and the rows of deleted webhooks. The events stay in the log, and can be replayed."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from time import monotonic

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from webhooks.models import Delivery, DeliveryStatus, Webhook

# Attempts are deleted with their deliveries, so a batch can be eleven times as many rows. Each batch is a
# transaction of its own: it holds its locks briefly, and an interrupted run keeps what it has done.
DELETE_BATCH_SIZE = 1000
# A run occupies a slot of the Celery worker. The next one, an hour later, goes on.
MAX_SECONDS = 300.0


def delete_old_deliveries(*, seconds: float = MAX_SECONDS) -> int:
    """Delete deliveries that are older than STOA_DELIVERY_RETENTION_DAYS and will not be sent; return how many.

    A delivery that is pending stays as long as its webhook is enabled: it was redelivered or replayed. The backlog of a
    webhook that is disabled, or deleted, goes.
    """
    deadline = monotonic() + seconds
    return sum(_delete_in_batches(is_over=lambda: monotonic() > deadline))


def _delete_in_batches(is_over: Callable[[], bool]) -> Iterator[int]:
    """Delete batches from the oldest delivery on, and yield their sizes."""
    old = Delivery.objects.not_leased().filter(created_at__lte=Now() - _retention()).order_by("created_at", "id")
    rest = old
    while not is_over() and (batch := list(rest.only("status", "webhook_id", "created_at")[:DELETE_BATCH_SIZE])):
        waiting = {delivery.webhook_id for delivery in batch if delivery.status == DeliveryStatus.PENDING}
        # Not as a join: PostgreSQL would read all webhooks for each batch.
        receiving = set(Webhook.objects.enabled().filter(pk__in=waiting).values_list("pk", flat=True))
        ended = [
            delivery.pk
            for delivery in batch
            if delivery.status != DeliveryStatus.PENDING or delivery.webhook_id not in receiving
        ]
        Delivery.objects.filter(pk__in=ended).delete()
        yield len(ended)
        # The next batch starts at this one's end. From the beginning it would read again what stays, and what is
        # deleted, but not vacuumed.
        last = batch[-1]
        rest = old.filter(created_at__gte=last.created_at).exclude(created_at=last.created_at, id__lte=last.id)


@transaction.atomic
def delete_deleted_webhooks() -> int:
    """Delete the rows of up to 1,000 webhooks that were deleted long ago and have no deliveries; return how many.

    A tenant may delete webhooks and register others, for ever. Replays end with the deletion.
    """
    deleted = Webhook.objects.filter(
        ~Exists(Delivery.objects.filter(webhook=OuterRef("pk"))), deleted_at__lte=Now() - _retention()
    )
    # Locked, so that PostgreSQL looks at the newest version of each row: a callback is used again when its subscription
    # gets a URL again. SKIP LOCKED: the next run takes those that are being changed.
    locked = deleted.order_by("deleted_at").select_for_update(skip_locked=True)
    rows = list(locked.values_list("pk", flat=True)[:DELETE_BATCH_SIZE])
    Webhook.objects.filter(pk__in=rows).delete()
    return len(rows)


def _retention() -> timedelta:
    return timedelta(days=settings.STOA_DELIVERY_RETENTION_DAYS)
