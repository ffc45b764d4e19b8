"""The stretch of time that a question about traffic covers, cut into buckets."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from metrics.rollups.resolutions import DAY, HOUR, MINUTE, Resolution
from stoa_cp.domain.errors import InvalidField

DEFAULT_DAYS = 30
# Far outside anything stored; inside what date arithmetic can do.
EARLIEST, LATEST = date(2000, 1, 1), date(2999, 12, 31)


@dataclass(frozen=True, slots=True)
class Granularity:
    """How finely an answer tells time, and how many days it may cover at most."""

    name: str
    level: Resolution
    max_days: int


GRANULARITIES = {
    granularity.name: granularity
    for granularity in (
        Granularity("minute", MINUTE, 2),
        Granularity("hour", HOUR, 31),
        Granularity("day", DAY, 400),
        # Ten years: longer than anybody looks back, short enough for one answer.
        Granularity("week", DAY, 3660),
        Granularity("month", DAY, 3660),
    )
}


@dataclass(frozen=True, slots=True)
class DateRange:
    """Both dates are inclusive and in UTC."""

    granularity: Granularity
    start_date: date
    end_date: date

    @property
    def start(self) -> datetime:
        return datetime.combine(self.start_date, time.min, UTC)

    @property
    def stop(self) -> datetime:
        """The first moment after the span."""
        return datetime.combine(self.end_date, time.min, UTC) + timedelta(days=1)

    def bucket_of(self, moment: datetime) -> datetime:
        """Return when the bucket of ``moment`` began, maybe before the span. Weeks begin on Monday (ISO 8601)."""
        bucket = self.granularity.level.bucket_of(moment)
        match self.granularity.name:
            case "week":
                return bucket - timedelta(days=bucket.weekday())
            case "month":
                return bucket.replace(day=1)
            case _:
                return bucket

    def buckets(self) -> Iterator[datetime]:
        """Yield every bucket of the span, also those without traffic."""
        moment, previous = self.start, None
        while moment < self.stop:
            bucket = self.bucket_of(moment)
            if bucket != previous:
                yield bucket
            previous = bucket
            moment += self.granularity.level.step

    def label(self, bucket: datetime) -> str:
        """Return the bucket's ``date``: a date for days and longer, a time for what is shorter."""
        if self.granularity.level is DAY:
            return bucket.date().isoformat()
        return bucket.strftime("%Y-%m-%dT%H:%M:%SZ")


def choose_span(name: str, start_date: date | None, end_date: date | None) -> DateRange:
    """Return the span for what was asked; what is missing is chosen so that it ends today and covers 30 days.

    Raises InvalidField where the dates make no span, or a longer one than the granularity allows.
    """
    for field, value in (("start_date", start_date), ("end_date", end_date)):
        if value is not None and not EARLIEST <= value <= LATEST:
            sentence = _("This must be a date from %(earliest)s to %(latest)s.")
            raise InvalidField(field, sentence % {"earliest": EARLIEST, "latest": LATEST}, code="out_of_range")
    granularity = GRANULARITIES[name]
    today = timezone.now().date()
    end_date = end_date or max(today, start_date or today)
    start_date = start_date or end_date - timedelta(days=min(DEFAULT_DAYS, granularity.max_days) - 1)
    if start_date > end_date:
        raise InvalidField("start_date", _("This must not be later than end_date."), code="out_of_range")
    if (end_date - start_date).days >= granularity.max_days:
        sentence = _("granularity=%(name)s covers at most %(days)d days; ask for fewer days or a coarser granularity.")
        raise InvalidField("start_date", sentence % {"name": name, "days": granularity.max_days}, code="range_too_long")
    return DateRange(granularity, start_date, end_date)
