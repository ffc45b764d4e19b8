"""The three resolutions that traffic is kept in (minute, hour, day), and how their tables are partitioned."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings

from metrics.models import DayTraffic, Dimension, HourTraffic, MinuteTraffic, Rollup

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EVERY_DIMENSION = (Dimension.SUBSCRIPTION, Dimension.API, Dimension.TENANT)


@dataclass(frozen=True, slots=True)
class Resolution:
    """One resolution, its table and its partitions.

    ``partition_format`` (for strftime) is the end of a partition's name, and can be parsed back into the partition's
    start. The database's function metrics_partition_at forms the same names. ``longest_partition``, added to the start
    of any partition, gives a time in the next one.
    """

    name: str
    model: type[Rollup]
    dimensions: tuple[Dimension, ...]
    step: timedelta
    partition_format: str
    longest_partition: timedelta
    keeps_histograms: bool = True

    @property
    def table(self) -> str:
        return self.model._meta.db_table  # noqa: SLF001 - Django documents `_meta`

    def bucket_of(self, moment: datetime) -> datetime:
        """Return when the minute, hour or day (UTC) of ``moment`` began."""
        return moment - (moment - EPOCH) % self.step

    def partition_start(self, moment: datetime) -> datetime:
        """Return when the partition that contains ``moment`` begins."""
        return self._parse(moment.strftime(self.partition_format))

    def next_partition(self, start: datetime) -> datetime:
        """Return when the partition after the one that begins at ``start`` begins."""
        return self.partition_start(start + self.longest_partition)

    def start_of_partition(self, name: str) -> datetime:
        """Return when the partition with this table name begins."""
        return self._parse(name.removeprefix(f"{self.table}_"))

    def kept_since(self, now: datetime) -> datetime:
        """Return the earliest time of which rows are kept.

        It is the start of a partition: a partition is dropped when all of it is older than the retention.
        """
        days = settings.STOA_RETENTION_DAYS[self.name]
        return self.partition_start(now - timedelta(days=days)) if days else EPOCH

    def _parse(self, suffix: str) -> datetime:
        return datetime.strptime(suffix, self.partition_format).replace(tzinfo=UTC)


# The length of a partition follows from the retention (by default 3 days, 90 days, for ever). It is short enough that
# little is kept longer than asked for, and long enough that a table has few partitions.
MINUTE = Resolution(
    "minute",
    MinuteTraffic,
    # No rows per API: a reader adds up the minutes of the API's subscriptions. There are rows per tenant because a
    # tenant may have thousands of subscriptions.
    (Dimension.SUBSCRIPTION, Dimension.TENANT),
    timedelta(minutes=1),
    "%Y%m%d",
    timedelta(days=1),
    # There are many minutes with few requests each: with histograms, a million records take 13.6 MB instead of 8.7.
    keeps_histograms=False,
)
HOUR = Resolution("hour", HourTraffic, EVERY_DIMENSION, timedelta(hours=1), "%Y%m", timedelta(days=31))
DAY = Resolution("day", DayTraffic, EVERY_DIMENSION, timedelta(days=1), "%Y", timedelta(days=366))
RESOLUTIONS = (MINUTE, HOUR, DAY)
