"""The month that a quota counts in, and what is left of a limit."""

from datetime import UTC, datetime

import pytest

from apikeys.decisions.windows import month_after, remaining


@pytest.mark.parametrize(
    ("month", "end"),
    [((2026, 1), (2026, 2)), ((2028, 2), (2028, 3)), ((2026, 4), (2026, 5)), ((2026, 12), (2027, 1))],
)
def test_a_month_ends_where_the_next_one_begins(month: tuple[int, int], end: tuple[int, int]) -> None:
    assert month_after(datetime(*month, 1, tzinfo=UTC)) == datetime(*end, 1, tzinfo=UTC)


def test_nothing_is_left_of_a_limit_that_was_lowered_below_its_use() -> None:
    assert [remaining(10, 3), remaining(10, 12), remaining(None, 12)] == [7, 0, None]
