"""manage.py rebuild_rollups: what folding stored is what the finer resolution adds up to."""

from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from pytest_django import Settings

from metrics.histograms.cumulative import encode_histogram
from metrics.histograms.sketch import Sketch
from metrics.models import DayTraffic, Dimension, HourTraffic, MinuteTraffic
from metrics.rollups.rebuild import rebuild_day
from metrics.rollups.resolutions import DAY, HOUR
from subscriptions.models import Subscription
from tests.metrics.traffic import counted, fold_all, record_of, report

pytestmark = pytest.mark.django_db


@pytest.fixture
def today(now: datetime) -> datetime:
    return DAY.bucket_of(now)


@pytest.fixture
def busy(now: datetime, mobile: Subscription, foreign: Subscription) -> Subscription:
    """Traffic of two tenants over the last two days, folded bit by bit."""
    for hours in range(0, 48, 5):
        report(record_of(mobile, now - timedelta(hours=hours)), record_of(foreign, now - timedelta(hours=hours)))
        fold_all()
    return mobile


def rebuild(*arguments: str) -> str:
    out = StringIO()
    call_command("rebuild_rollups", *arguments, stdout=out)
    return out.getvalue()


def test_there_is_no_difference(now: datetime, busy: Subscription) -> None:
    since = (now - timedelta(days=3)).date()
    assert rebuild("--since", since.isoformat()).startswith("0 differences")


def test_a_difference_is_reported_and_left_as_it_is(busy: Subscription, today: datetime) -> None:
    HourTraffic.objects.filter(series__dimension=Dimension.TENANT, bucket__gte=today).update(
        sketch=Sketch({2048: 9}).to_bytes()
    )

    with pytest.raises(CommandError, match="differences"):
        rebuild()

    assert (
        Sketch.from_bytes(
            HourTraffic.objects.filter(series__dimension=Dimension.TENANT).latest("bucket").sketch
        ).requests
        == 9
    )


def test_a_difference_can_be_repaired(busy: Subscription, today: datetime) -> None:
    DayTraffic.objects.filter(series__dimension=Dimension.API, bucket=today).delete()
    HourTraffic.objects.filter(series__dimension=Dimension.SUBSCRIPTION, bucket__gte=today).update(
        requests=F("requests") + 5, sketch=Sketch({2048: 9}).to_bytes()
    )

    assert "repaired" in rebuild("--repair")

    assert rebuild().startswith("0 differences")
    assert counted(DAY, Dimension.API) == counted(HOUR) == 20


def test_a_histogram_that_differs_is_reported(busy: Subscription, today: datetime) -> None:
    one_at_nothing = encode_histogram([1])
    assert DayTraffic.objects.filter(bucket=today).update(histogram=one_at_nothing)

    assert {difference.resolution for difference in rebuild_day(today, repair=True)} == {"day"}

    assert rebuild().startswith("0 differences")
    assert not DayTraffic.objects.filter(histogram=one_at_nothing).exists()


def test_rows_from_before_there_were_histograms_do_not_differ_and_get_theirs(
    busy: Subscription, today: datetime
) -> None:
    DayTraffic.objects.update(histogram=None)

    assert rebuild().startswith("0 differences")
    assert not DayTraffic.objects.exclude(histogram=None).exists()

    assert rebuild("--repair").startswith("0 differences")
    assert not DayTraffic.objects.filter(bucket=today, histogram=None).exists()


def test_an_hour_whose_minutes_are_gone_is_left_alone(busy: Subscription, today: datetime, settings: Settings) -> None:
    yesterday = today - timedelta(days=1)
    MinuteTraffic.objects.all().delete()
    settings.STOA_RETENTION_DAYS = {"minute": 1, "hour": 90, "day": 0}

    assert rebuild_day(yesterday - timedelta(days=1), repair=True) == []
    assert counted(HOUR) == 20


def test_what_the_finer_resolution_does_not_have_is_removed(busy: Subscription, today: datetime) -> None:
    MinuteTraffic.objects.filter(bucket__gte=today).delete()

    rebuild_day(today, repair=True)

    assert not HourTraffic.objects.filter(bucket__gte=today).exists()
    assert not DayTraffic.objects.filter(bucket=today).exists()
