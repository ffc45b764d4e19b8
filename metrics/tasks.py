"""What beat asks for: fold what came in, and keep the tables in step with the calendar."""

from celery import shared_task
from django.utils import timezone

from metrics.rollups.fold import DELTAS_AT_ONCE, fold_deltas
from metrics.rollups.partitions import maintain_partitions
from metrics.services import forget_batches


@shared_task(name="metrics.fold_traffic")
def fold_traffic() -> None:
    """Fold until what is left is no full transaction's work."""
    while fold_deltas() == DELTAS_AT_ONCE:
        pass


@shared_task(name="metrics.keep_house")
def maintain_tables() -> None:
    """Make the partitions of the near future, and let go of what is past its retention."""
    now = timezone.now()
    maintain_partitions(now)
    forget_batches(now)
