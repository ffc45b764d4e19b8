"""Tables of traffic: reported batches, deltas that are not folded yet, and rollups by minute, hour and day.

::

    batch ──► deltas ──(fold)──► minutes: per subscription, per tenant
                 │               hours, days: per subscription, per API, per tenant
                 └── unfolded tail ──► every read adds the deltas that are not folded yet
"""

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apikeys.models import Mode
from catalog.models import Api
from subscriptions.models import Subscription
from tenants.models import Tenant


class TrafficBatch(models.Model):
    """A batch that has been counted, once per reporter and ``batch_id``.

    The row is inserted in the same statement as the batch's deltas. So a repeated batch finds the row and counts
    nothing.
    """

    reporter = models.CharField(max_length=255)
    batch_id = models.CharField(max_length=255, db_collation="C")
    accepted = models.PositiveIntegerField()
    refused = models.PositiveIntegerField()
    received_at = models.DateTimeField()

    class Meta:
        verbose_name = _("traffic batch")
        verbose_name_plural = _("traffic batches")
        ordering = ["-id"]
        # The hourly purge deletes by `received_at`.
        indexes = [models.Index(fields=["received_at"], name="batch_received_at")]
        constraints = [models.UniqueConstraint(fields=["reporter", "batch_id"], name="batch_once_per_reporter")]

    def __str__(self) -> str:
        return self.batch_id


class TrafficDelta(models.Model):
    """The requests of one subscription in one minute, as one batch reported them.

    Rows are appended by the ingestion and deleted by the fold. They are never updated, so two batches that report the
    same subscription never wait for each other's row locks.

    The database does not check the foreign keys: the ingestion has just looked up the ids, and checking them again
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
    # The database's default: an older release inserts rows without a mode.
    mode = models.CharField(max_length=8, choices=Mode, default=Mode.LIVE, db_default=Mode.LIVE)
    requests = models.PositiveIntegerField()
    errors = models.PositiveIntegerField()
    sketch = models.BinaryField()

    class Meta:
        verbose_name = _("traffic not folded yet")
        verbose_name_plural = _("traffic not folded yet")
        ordering = ["-id"]
        # The subscription precedes the minute because usage reads the tail by subscription.
        indexes = [models.Index(fields=["tenant", "subscription", "minute"], name="delta_of_subscription")]


class Dimension(models.TextChoices):
    """What a series adds up: the requests of a tenant, of an API, or of a subscription; of one mode.

    The mode is in the dimension, and in no column of its own. So live traffic takes no byte more, and the unique index
    stays as it is: an older release, which folds beside this one during an upgrade, names its columns.
    """

    TENANT = "tenant", _("Tenant")
    API = "api", "API"
    SUBSCRIPTION = "subscription", _("Subscription")
    TEST_TENANT = "test-tenant", _("Tenant, test calls")
    TEST_API = "test-api", _("API, test calls")
    TEST_SUBSCRIPTION = "test-sub", _("Subscription, test calls")  # the column has 16 characters

    def in_mode(self, mode: str) -> "Dimension":
        """Return the dimension that adds up the same of this mode."""
        return self if mode == Mode.LIVE else TEST_DIMENSIONS[self]


# Those of live calls, by which rules name what they add up, and the same of test calls.
TEST_DIMENSIONS = {
    Dimension.TENANT: Dimension.TEST_TENANT,
    Dimension.API: Dimension.TEST_API,
    Dimension.SUBSCRIPTION: Dimension.TEST_SUBSCRIPTION,
}


class Series(models.Model):
    """The tenant, API or subscription whose requests a rollup counts.

    With ``dimension`` (TEST_)SUBSCRIPTION and ``subscription`` NULL, the series counts the API's calls without a key.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, db_index=False, related_name="+")
    # The column keeps its first name: an old and a new release run side by side during an upgrade.
    dimension = models.CharField(max_length=16, choices=Dimension, db_column="grain")
    api = models.ForeignKey(Api, null=True, on_delete=models.CASCADE, related_name="+")
    subscription = models.ForeignKey(Subscription, null=True, on_delete=models.CASCADE, related_name="+")
    last_request_at = models.DateTimeField()

    class Meta:
        verbose_name = _("traffic series")
        verbose_name_plural = _("traffic series")
        ordering = ["-id"]
        constraints = [
            # NULLs are equal here: otherwise each fold would insert a new series for a tenant's totals.
            models.UniqueConstraint(
                fields=["tenant", "dimension", "api", "subscription"], nulls_distinct=False, name="series_unique"
            ),
            models.CheckConstraint(
                condition=Q(dimension__in=(Dimension.TENANT, Dimension.TEST_TENANT), api=None, subscription=None)
                | Q(dimension__in=(Dimension.API, Dimension.TEST_API), api__isnull=False, subscription=None)
                | Q(dimension__in=(Dimension.SUBSCRIPTION, Dimension.TEST_SUBSCRIPTION), api__isnull=False),
                name="series_names_its_grain",
            ),
        ]


class Rollup(models.Model):
    """The requests of one series in one bucket of time. ``bucket`` is when it begins.

    The tables are partitioned by ``bucket``, so that old traffic goes with a DROP TABLE instead of a DELETE of
    millions of rows.

    ``sketch`` alone holds everything. ``requests`` and ``errors`` repeat a part of it for sums in SQL. ``histogram``
    repeats the latencies in the form that percentiles are read from: a tenant's 31 days by day take 0.32 ms with it
    and took 3.9 ms without. Minutes have none, and rows of an earlier release may lack it.
    """

    pk = models.CompositePrimaryKey("series", "bucket")
    # The database deletes the rows with their series (ON DELETE CASCADE in migration 0002): Django would load them all.
    series = models.ForeignKey(Series, on_delete=models.DO_NOTHING, db_index=False, related_name="+")
    bucket = models.DateTimeField()
    requests = models.PositiveBigIntegerField()
    errors = models.PositiveBigIntegerField()
    sketch = models.BinaryField()
    # The column keeps its first name, as `Series.dimension` does.
    histogram = models.BinaryField(null=True, db_column="distribution")

    objects: ClassVar[models.Manager[Any]] = models.Manager()

    class Meta:
        abstract = True


class MinuteTraffic(Rollup):
    """A minute of one subscription or tenant."""


class HourTraffic(Rollup):
    """An hour of one subscription, API or tenant."""


class DayTraffic(Rollup):
    """A day (UTC) of one subscription, API or tenant."""
