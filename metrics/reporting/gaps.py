"""Shows points without requests between those with some."""

from collections.abc import Collection, Iterable, Iterator
from itertools import product

from metrics.histograms.percentiles import LatencySummary
from metrics.queries import MetricPoint, position_of
from metrics.reporting.date_ranges import DateRange


def fill_gaps(
    points: Iterable[MetricPoint], date_range: DateRange, groups: Collection[str | None] = (None,)
) -> Iterator[MetricPoint]:
    """Yield the points, which are in order, and between them an empty one for each bucket and group without requests.

    A group that only shows up while the points are read is left out.
    """
    remaining = iter(points)
    point = next(remaining, None)
    ordered = sorted(groups, key=lambda group: group or "")
    for place in product(date_range.buckets(), ordered):
        empty = MetricPoint(*place, LatencySummary())
        while point is not None and position_of(point) < position_of(empty):
            point = next(remaining, None)
        if point is not None and point[:2] == place:
            yield point
            point = next(remaining, None)
        else:
            yield empty
