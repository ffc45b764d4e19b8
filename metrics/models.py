"""Traffic, counted: batches as they were reported, and their sums by minute, hour and day.

::

    batch ──► deltas ──(folding)──► minutes: per subscription, per tenant
                 │                  hours, days: per subscription, per API, per tenant
                 └── the tail ──► every read adds what is not folded yet
"""

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog.models import Api
from subscriptions.models import Subscription
from tenants.models import Tenant


class TrafficBatch(models.Model):
    """A batch that has been counted. The row commits with its deltas, so that a repetition counts nothing."""

    reporter = models.CharField(max_length=255)
    batch_id = models.CharField(max_length=255, db_collation="C")
    accepted = models.PositiveIntegerField()
    refused = models.PositiveIntegerField()
    received_at = models.DateTimeField()

    class Meta:
        verbose_name = _("traffic batch")
        verbose_name_plural = _("traffic batches")
        ordering = ["-id"]
        indexes = [models.Index(fields=["received_at"], name="batch_received_at")]
        constraints = [models.UniqueConstraint(fields=["reporter", "batch_id"], name="batch_once_per_reporter")]

    def __str__(self) -> str:
        return self.batch_id


class TrafficDelta(models.Model):
    """One batch's requests of one subscription in one minute; rows are appended, folded and gone.

    The references are not checked by the database: ingestion has just looked them up, and checking them again
    doubled its time.
    """

    minute = models.DateTimeField()
    last_request_at = models.DateTimeField()
    tenant = models.ForeignKey(
        Tenant, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    api = models.ForeignKey(Api, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    subscription = models.ForeignKey(
        Subscription, null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    requests = models.PositiveIntegerField()
    errors = models.PositiveIntegerField()
    sketch = models.BinaryField()

    class Meta:
        verbose_name = _("traffic not folded yet")
        verbose_name_plural = _("traffic not folded yet")
        ordering = ["-id"]
        indexes = [models.Index(fields=["tenant", "subscription", "minute"], name="delta_of_subscription")]


class Dimension(models.TextChoices):
    """Whose requests a series adds up."""

    TENANT = "tenant", _("Tenant")
    API = "api", "API"
    SUBSCRIPTION = "subscription", _("Subscription")


class Series(models.Model):
    """Whose requests a rollup counts. A subscription's series without a subscription has the anonymous calls."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, db_index=False, related_name="+")
    grain = models.CharField(max_length=16, choices=Dimension)
    api = models.ForeignKey(Api, null=True, on_delete=models.CASCADE, related_name="+")
    subscription = models.ForeignKey(Subscription, null=True, on_delete=models.CASCADE, related_name="+")
    last_request_at = models.DateTimeField()

    class Meta:
        verbose_name = _("traffic series")
        verbose_name_plural = _("traffic series")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "grain", "api", "subscription"], nulls_distinct=False, name="series_unique"
            ),
            models.CheckConstraint(
                condition=Q(grain=Dimension.TENANT, api=None, subscription=None)
                | Q(grain=Dimension.API, api__isnull=False, subscription=None)
                | Q(grain=Dimension.SUBSCRIPTION, api__isnull=False),
                name="series_names_its_grain",
            ),
        ]


class Rollup(models.Model):
    """One series in one stretch of time, which ``bucket`` begins. The tables are partitioned by ``bucket``.

    All else can be read from the sketch too: ``requests`` and ``errors`` stand beside it for sums in SQL, and the
    distribution for answers, which read it ten times as fast. Rows may be without one.
    """

    pk = models.CompositePrimaryKey("series", "bucket")
    # The database deletes the rows with their series: see the migration.
    series = models.ForeignKey(Series, on_delete=models.DO_NOTHING, db_index=False, related_name="+")
    bucket = models.DateTimeField()
    requests = models.PositiveBigIntegerField()
    errors = models.PositiveBigIntegerField()
    sketch = models.BinaryField()
    distribution = models.BinaryField(null=True)

    objects: ClassVar[models.Manager[Any]] = models.Manager()

    class Meta:
        abstract = True


class MinuteTraffic(Rollup):
    """A minute of one subscription or tenant."""


class HourTraffic(Rollup):
    """An hour of one subscription, API or tenant."""


class DayTraffic(Rollup):
    """A day (UTC) of one subscription, API or tenant."""
