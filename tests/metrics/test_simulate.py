"""manage.py simulate_traffic."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from catalog.models import Gateway
from metrics.models import Dimension, TrafficBatch
from metrics.rollups.resolutions import DAY
from metrics.simulation import Target, choose_targets, simulate_records
from subscriptions.models import Subscription
from tests.factories import SubscriptionFactory
from tests.metrics.traffic import counted

TARGETS = [Target("api-1", "sub-1", 1.0, 80.0), Target("api-2", "sub-2", 0.5, 200.0)]
MONDAY = datetime(2025, 1, 6, tzinfo=UTC)


def simulated(count: int, days: float = 1.0, start: datetime = MONDAY) -> list[dict[str, Any]]:
    return list(simulate_records(TARGETS, start, start + timedelta(days=days), count, Random(7)))  # noqa: S311 - a seed, no secret


@pytest.mark.parametrize(("count", "days"), [(1, 1.0), (999, 0.01), (5_000, 3.3)])
def test_as_many_records_as_asked_for_in_order_of_time(count: int, days: float) -> None:
    records = simulated(count, days)
    times = [datetime.fromisoformat(record["timestamp"]) for record in records]

    assert len(records) == count
    assert times == sorted(times)
    assert times[0] >= MONDAY
    assert times[-1] <= MONDAY + timedelta(days=days)


def test_the_same_seed_gives_the_same_traffic() -> None:
    assert simulated(100) == simulated(100)


def test_days_have_a_rhythm_and_weekends_are_quiet() -> None:
    week = simulated(20_000, days=7.0)
    hours = [datetime.fromisoformat(record["timestamp"]) for record in week]
    noon, night = (sum(moment.hour == hour for moment in hours) for hour in (14, 2))
    monday, sunday = (sum(moment.weekday() == day for moment in hours) for day in (0, 6))

    assert noon > 3 * night
    assert monday > 1.5 * sunday


def test_errors_come_in_bursts() -> None:
    slots: dict[str, list[bool]] = defaultdict(list)
    for record in simulated(50_000, days=30.0):
        slots[record["timestamp"][:15]].append(record["status"] >= 500)
    shares = sorted(sum(errors) / len(errors) for errors in slots.values())

    assert shares[-1] > 0.2
    assert shares[len(shares) // 2] < 0.02


@pytest.mark.django_db
def test_only_active_subscriptions_call(mobile: Subscription, foreign: Subscription) -> None:
    SubscriptionFactory(tenant=mobile.tenant, api=mobile.api)

    def chosen(tenant: str | None) -> set[str]:
        return {target.subscription_id for target in choose_targets(tenant, Random(1))}  # noqa: S311 - a seed, no secret

    assert chosen(None) == {mobile.id, foreign.id}
    assert chosen("acme") == {mobile.id}


@pytest.mark.django_db
def test_without_an_active_subscription_it_is_an_error() -> None:
    with pytest.raises(CommandError, match="no active subscription"):
        call_command("simulate_traffic", "10")


@pytest.mark.django_db(transaction=True)
def test_recent_traffic_goes_through_the_endpoint(
    mobile: Subscription, live_server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("simulate_traffic", "500", "--url", live_server.url)

    assert counted() == 500
    assert TrafficBatch.objects.get().reporter.startswith("gtw-")
    assert not Gateway.objects.live().exists()
    assert capsys.readouterr().out == f"500 records went through {live_server.url}/v1/gateway/traffic.\n"


@pytest.mark.django_db(transaction=True)
def test_older_traffic_goes_past_it_and_it_says_so(mobile: Subscription, capsys: pytest.CaptureFixture[str]) -> None:
    until = timezone.now().date() - timedelta(days=10)

    call_command("simulate_traffic", "500", "--days", "20", "--until", until.isoformat())

    assert counted(DAY, Dimension.TENANT) == 500
    assert capsys.readouterr().out == "500 were older than it takes, and were handed to the service behind it.\n"


@pytest.mark.django_db(transaction=True)
def test_a_refused_token_is_an_error(mobile: Subscription, live_server: Any) -> None:
    with pytest.raises(CommandError, match="answered 401"):
        call_command("simulate_traffic", "10", "--url", live_server.url, "--token", "stoa_gtw_none")


@pytest.mark.django_db
def test_a_control_plane_that_is_not_there_is_an_error(mobile: Subscription) -> None:
    with pytest.raises(CommandError, match="does not answer"):
        call_command("simulate_traffic", "10", "--url", "http://127.0.0.1:1")
