"""The three resolutions in which traffic is kept, and how their tables are cut into partitions."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings

from metrics.models import DayTraffic, Dimension, HourTraffic, MinuteTraffic, Rollup

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EVERY_GRAIN = (Dimension.SUBSCRIPTION, Dimension.API, Dimension.TENANT)


@dataclass(frozen=True, slots=True)
class Resolution:
    """One resolution.

    ``partition_format`` (for strftime) ends a partition's name and can be parsed back into its start;
    ``longest_partition`` leads from any such start into the next partition. ``keeps_distributions`` tells whether rows
    keep beside their sketch the distribution that answers are read from.
    """

    name: str
    model: type[Rollup]
    grains: tuple[Dimension, ...]
    step: timedelta
    partition_format: str
    longest_partition: timedelta
    keeps_distributions: bool = True

    @property
    def table(self) -> str:
        return self.model._meta.db_table  # noqa: SLF001 - Django documents `_meta`

    def bucket_of(self, moment: datetime) -> datetime:
        """Return when the minute, hour or day (UTC) of ``moment`` began."""
        return moment - (moment - EPOCH) % self.step

    def partition_start(self, moment: datetime) -> datetime:
        return self.parse_partition(moment.strftime(self.partition_format))

    def parse_partition(self, suffix: str) -> datetime:
        return datetime.strptime(suffix, self.partition_format).replace(tzinfo=UTC)

    def next_partition(self, start: datetime) -> datetime:
        return self.partition_start(start + self.longest_partition)

    def kept_since(self, now: datetime) -> datetime:
        """Return from when on this level keeps rows: a partition goes when all of it is past the retention."""
        days = settings.STOA_RETENTION_DAYS[self.name]
        return self.partition_start(now - timedelta(days=days)) if days else EPOCH


MINUTE = Resolution(
    "minute",
    MinuteTraffic,
    # An API's minutes are added up from its subscriptions' when they are read; a tenant may have thousands of those.
    (Dimension.SUBSCRIPTION, Dimension.TENANT),
    timedelta(minutes=1),
    "%Y%m%d",
    timedelta(days=1),
    # There are many, with few requests in each: a million records would take 13.6 MB instead of 8.6.
    keeps_distributions=False,
)
HOUR = Resolution("hour", HourTraffic, EVERY_GRAIN, timedelta(hours=1), "%Y%m", timedelta(days=31))
DAY = Resolution("day", DayTraffic, EVERY_GRAIN, timedelta(days=1), "%Y", timedelta(days=366))
LEVELS = (MINUTE, HOUR, DAY)
