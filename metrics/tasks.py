"""Celery tasks of metrics, run by beat: fold traffic every 10 s, maintain the tables every hour.

Their names are an API: an old beat and a new worker run side by side during an upgrade.
"""

from celery import shared_task
from django.utils import timezone

from metrics.rollups.fold import fold_waiting_deltas
from metrics.rollups.partitions import maintain_partitions
from metrics.services import purge_batches


@shared_task(name="metrics.fold_traffic")
def fold_traffic() -> None:
    """Fold the deltas that wait now."""
    fold_waiting_deltas()


@shared_task(name="metrics.keep_house")
def maintain_tables() -> None:
    """Create the next partitions, and delete what is past its retention."""
    now = timezone.now()
    maintain_partitions(now)
    purge_batches(now)
