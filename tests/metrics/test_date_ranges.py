"""The dates of a metrics request: defaults, bounds, and what is refused."""

from datetime import date, timedelta

import pytest
from django.utils import timezone

from metrics.reporting.date_ranges import choose_date_range
from stoa_cp.domain.errors import InvalidField


@pytest.mark.parametrize(
    ("granularity", "days"), [("minute", 2), ("hour", 31), ("day", 400), ("week", 3660), ("month", 3660)]
)
def test_a_granularity_bounds_the_range(granularity: str, days: int) -> None:
    end = date(2025, 6, 30)
    assert choose_date_range(granularity, end - timedelta(days=days - 1), end)
    with pytest.raises(InvalidField, match=str(days)) as refusal:
        choose_date_range(granularity, end - timedelta(days=days), end)
    assert refusal.value.detail_code == "range_too_long"


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (date(2025, 1, 2), date(2025, 1, 1), "start_date"),
        (date(1999, 12, 31), date(2000, 1, 1), "start_date"),
        (date(2999, 12, 1), date(9999, 12, 31), "end_date"),
        (None, date(1, 1, 1), "end_date"),
        (date(9999, 12, 31), None, "start_date"),
    ],
)
def test_dates_that_make_no_range_are_refused(start: date | None, end: date | None, field: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        choose_date_range("day", start, end)
    assert refusal.value.field == field


@pytest.mark.parametrize(("granularity", "days"), [("minute", 2), ("hour", 30), ("day", 30), ("month", 30)])
def test_without_dates_the_last_thirty_days_are_meant(granularity: str, days: int) -> None:
    date_range = choose_date_range(granularity, None, None)
    assert date_range.end_date == timezone.now().date()
    assert (date_range.end_date - date_range.start_date).days == days - 1
