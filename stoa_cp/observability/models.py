"""The rows of observability: what workers have counted."""

from django.db import models
from django.db.models.functions import Now


class WorkerMetric(models.Model):
    """A sum over all workers: ``value`` of one ``metric`` under one ``label``, and when a worker last added to it.

    Prometheus reads these at the web processes: a worker has no port to be scraped at. Rows are as many as labels,
    which are codes and names of tasks, so that the table does not grow.
    """

    pk = models.CompositePrimaryKey("metric", "label")
    metric = models.CharField(max_length=32, db_collation="C")
    label = models.CharField(max_length=64, db_collation="C")
    value = models.FloatField()
    changed_at = models.DateTimeField(db_default=Now())
