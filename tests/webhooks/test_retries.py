"""When a failed delivery is tried again."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from django.utils import timezone

from webhooks.delivery.retries import DELAYS_SECONDS, seconds_until_next

DAY = 86_400


def test_ten_attempts_over_75_hours_and_35_minutes() -> None:
    assert len(DELAYS_SECONDS) == 10
    assert timedelta(seconds=sum(DELAYS_SECONDS)) == timedelta(hours=75, minutes=35, seconds=5)
    minutes, hours = [5, 30], [2, 5, 10, 14, 20, 24]
    assert list(DELAYS_SECONDS) == [0, 5, *(60 * n for n in minutes), *(3600 * n for n in hours)]


@pytest.mark.parametrize("attempts_made", range(1, 10))
def test_each_delay_has_up_to_a_fifth_of_jitter(attempts_made: int) -> None:
    nominal = DELAYS_SECONDS[attempts_made]
    delays = [seconds_until_next(attempts_made, 500, "") or 0 for _ in range(200)]
    assert nominal <= min(delays) < nominal * 1.05
    assert nominal * 1.15 < max(delays) <= nominal * 1.2


def test_there_is_no_eleventh() -> None:
    assert seconds_until_next(10, 500, "") is None
    assert seconds_until_next(10, 503, "5") is None


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        ("60", 60, 60),
        (" 60 ", 60, 60),
        ("1", 5, 6),
        ("0", 5, 6),
        ("-60", 5, 6),
        ("86400", DAY, DAY),
        ("86401", DAY, DAY),
        ("9" * 5000, DAY, DAY),
        ("", 5, 6),
        ("soon", 5, 6),
        ("1.5", 5, 6),
        ("٦٠", 5, 6),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 5, 6),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DAY, DAY),
        ("Fri, 31 Dec 9999 23:59:59 -9999", 5, DAY),
        ("Fri, 99 Dec 2026 25:61:61 GMT", 5, 6),
        ("Fri, 31 Dec 2026 23:59:59 +99999999999999", 5, DAY),
        ("\x00", 5, 6),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_may_ask_for_up_to_a_day(status: int, retry_after: str, least: float, most: float) -> None:
    delay = seconds_until_next(1, status, retry_after)
    assert delay is not None
    assert least <= delay <= most


def test_a_receiver_may_name_a_date() -> None:
    moment = timezone.now() + timedelta(minutes=10)
    delay = seconds_until_next(1, 503, format_datetime(moment.astimezone(UTC), usegmt=True))
    assert delay is not None
    assert 595 < delay <= 600


def test_a_date_without_zone_is_utc() -> None:
    moment = datetime.now(UTC) + timedelta(minutes=10)
    delay = seconds_until_next(1, 429, moment.strftime("%d %b %Y %H:%M:%S"))
    assert delay is not None
    assert 595 < delay <= 600


@pytest.mark.parametrize("status", [None, 400, 500, 502, 301])
def test_nobody_else_may_ask(status: int | None) -> None:
    delay = seconds_until_next(1, status, "3600")
    assert delay is not None
    assert delay <= 6
