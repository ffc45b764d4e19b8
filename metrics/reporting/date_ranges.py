"""The days that a metrics answer covers, cut into buckets of its granularity."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from metrics.rollups.resolutions import DAY, HOUR, MINUTE, Resolution
from stoa_cp.domain.errors import InvalidField

DEFAULT_DAYS = 30  # the range if no date is given, or only its end
# No traffic is stored outside these years, and inside them no date arithmetic overflows.
EARLIEST, LATEST = date(2000, 1, 1), date(2999, 12, 31)


@dataclass(frozen=True, slots=True)
class Granularity:
    """The length of an answer's buckets, the resolution they are read from, and the longest range in days.

    The longest range bounds the points of an answer (2,880 minutes, 744 hours, 400 days) and the rows it reads.
    """

    name: str
    resolution: Resolution
    max_days: int


GRANULARITIES = {
    granularity.name: granularity
    for granularity in (
        Granularity("minute", MINUTE, 2),
        Granularity("hour", HOUR, 31),
        # More than a year, so that a range may reach back to the same day of last year.
        Granularity("day", DAY, 400),
        # Ten years, which covers any history. They read days, like `day`, but return far fewer points.
        Granularity("week", DAY, 3660),
        Granularity("month", DAY, 3660),
    )
}


@dataclass(frozen=True, slots=True)
class DateRange:
    """A range of days (UTC) and the granularity of its buckets. Both dates are inclusive."""

    granularity: Granularity
    start_date: date
    end_date: date

    @property
    def start(self) -> datetime:
        return datetime.combine(self.start_date, time.min, UTC)

    @property
    def stop(self) -> datetime:
        """The first moment after the range."""
        return datetime.combine(self.end_date, time.min, UTC) + timedelta(days=1)

    def bucket_of(self, moment: datetime) -> datetime:
        """Return when the bucket of ``moment`` began. Weeks begin on Monday (ISO 8601).

        The first week or month may begin before the range; it still holds only what happened in the range.
        """
        bucket = self.granularity.resolution.bucket_of(moment)
        match self.granularity.name:
            case "week":
                return bucket - timedelta(days=bucket.weekday())
            case "month":
                return bucket.replace(day=1)
            case _:
                return bucket

    def buckets(self) -> Iterator[datetime]:
        """Yield every bucket of the range, also those without traffic."""
        moment, previous = self.start, None
        while moment < self.stop:
            bucket = self.bucket_of(moment)
            if bucket != previous:
                yield bucket
            previous = bucket
            moment += self.granularity.resolution.step

    def label(self, bucket: datetime) -> str:
        """Return the bucket's ``date``: a date for days and longer, a time for what is shorter."""
        if self.granularity.resolution is DAY:
            return bucket.date().isoformat()
        return bucket.strftime("%Y-%m-%dT%H:%M:%SZ")


def choose_date_range(name: str, start_date: date | None, end_date: date | None) -> DateRange:
    """Return the range for the query's granularity and dates. A missing date is chosen: today, or 30 days in all.

    Raises InvalidField if the dates are out of order, or the range is longer than the granularity allows.
    """
    for field, value in (("start_date", start_date), ("end_date", end_date)):
        if value is not None and not EARLIEST <= value <= LATEST:
            sentence = _("This must be a date from %(earliest)s to %(latest)s.")
            raise InvalidField(field, sentence % {"earliest": EARLIEST, "latest": LATEST}, code="out_of_range")
    granularity = GRANULARITIES[name]
    today = timezone.now().date()
    # A start in the future is no error: the range is that day, and empty.
    end_date = end_date or max(today, start_date or today)
    start_date = start_date or end_date - timedelta(days=min(DEFAULT_DAYS, granularity.max_days) - 1)
    if start_date > end_date:
        raise InvalidField("start_date", _("This must not be later than end_date."), code="out_of_range")
    if (end_date - start_date).days >= granularity.max_days:
        sentence = _("granularity=%(name)s covers at most %(days)d days; ask for fewer days or a coarser granularity.")
        raise InvalidField("start_date", sentence % {"name": name, "days": granularity.max_days}, code="range_too_long")
    return DateRange(granularity, start_date, end_date)
