"""Traffic of test keys is told apart from live traffic, everywhere."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apikeys.decisions.call import Call
from apikeys.decisions.decide import decide
from apikeys.services.keys import NewKey, issue_key
from catalog.models import Api
from metrics.histograms.sketch import Sketch, cell_of
from metrics.models import Dimension, Series, TrafficDelta
from metrics.queries import requests_per_day, top_tenants
from metrics.rollups.rebuild import rebuild_day
from metrics.rollups.resolutions import DAY
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests.answers import invalid, refusal_of
from tests.conftest import Caller
from tests.factories import SubscriptionFactory
from tests.metrics.traffic import fold_all, record_of, report

pytestmark = pytest.mark.django_db

TENANT = "/v1/tenants/acme"


@pytest.fixture
def mobile(acme: Tenant) -> Subscription:
    return SubscriptionFactory(tenant=acme, active=True, application="mobile", rate_limit=100, quota=1_000)


@pytest.fixture(params=["folded", "tail", "both"])
def traffic(request: Any, mobile: Subscription) -> Subscription:
    """Two live calls and three test calls, of which one failed."""
    report(record_of(mobile), record_of(mobile, mode="test", status=500, latency_ms=900))
    if request.param != "tail":
        fold_all()
    report(record_of(mobile, mode="live"), *[record_of(mobile, mode="test", latency_ms=900)] * 2)
    if request.param == "folded":
        fold_all()
    return mobile


def totals(caller: Caller, path: str, **query: str) -> tuple[int, int]:
    text = "&".join(f"{name}={value}" for name, value in query.items())
    answer = caller.get(f"{path}?{text}").json()
    return answer["totals"]["requests"], answer["totals"]["errors"]


@pytest.mark.parametrize("granularity", ["minute", "hour", "day", "month"])
@pytest.mark.parametrize("group_by", ["", "api", "subscription", "status"])
def test_metrics_are_of_one_mode(traffic: Subscription, victor: Caller, granularity: str, group_by: str) -> None:
    query = {"granularity": granularity} | ({"group_by": group_by} if group_by else {})
    paths = ("", f"/apis/{traffic.api_id}", f"/subscriptions/{traffic.id}")
    for path in (f"{TENANT}{each}/metrics" for each in paths):
        assert totals(victor, path, **query) == totals(victor, path, mode="live", **query) == (2, 0)
        assert totals(victor, path, mode="test", **query) == (3, 1)


def test_usage_is_of_one_mode(traffic: Subscription, victor: Caller) -> None:
    def used(query: str) -> tuple[int, int, int]:
        (listed,) = victor.get(f"{TENANT}/usage{query}").json()["items"]
        one = victor.get(f"{TENANT}/subscriptions/{traffic.id}/usage{query}").json()
        assert one.items() <= listed.items()
        return one["requests"], one["errors"], one["quota"]["used"]

    assert used("") == used("?mode=live") == (2, 0, 2)
    assert used("?mode=test") == (3, 1, 3)


def test_usage_reads_the_meter_of_its_mode(mobile: Subscription, victor: Caller) -> None:
    Api.objects.update(sandbox_url="https://sandbox.example.com")
    for mode, calls in (("live", 2), ("test", 5)):
        secret = issue_key(mobile, NewKey(mode=mode), by=SYSTEM).secret
        assert all(decide(Call(secret)).is_allowed for _call in range(calls))

    def left(query: str) -> tuple[int, int]:
        usage = victor.get(f"{TENANT}/subscriptions/{mobile.id}/usage{query}").json()
        return usage["rate_limit"]["remaining"], usage["quota"]["used"]

    assert (left(""), left("?mode=test")) == ((98, 2), (95, 5))


@pytest.mark.parametrize("mode", ["demo", "", "LIVE", "live,test"])
def test_an_unknown_mode_is_refused(mobile: Subscription, victor: Caller, mode: str) -> None:
    for path in ("metrics", f"apis/{mobile.api_id}/metrics", f"subscriptions/{mobile.id}/metrics"):
        assert refusal_of(victor.get(f"{TENANT}/{path}?mode={mode}"))[:3] == invalid("mode")[:3]
    for path in ("usage", f"subscriptions/{mobile.id}/usage"):
        assert refusal_of(victor.get(f"{TENANT}/{path}?mode={mode}")) == invalid("mode")


def test_the_document_names_both_modes_and_the_default(victor: Caller) -> None:
    operations = victor.get("/openapi.json").json()["paths"]
    found = {
        path.removeprefix("/v1/tenants/{tenant_id}"): parameter["schema"]
        for path in operations
        if path.endswith(("/metrics", "/usage"))
        for parameter in operations[path]["get"]["parameters"]
        if parameter["name"] == "mode"
    }

    assert len(found) == 5
    assert all(schema["enum"] == ["live", "test"] and schema["default"] == "live" for schema in found.values()), found


@pytest.mark.parametrize("mode", ["demo", "LIVE", "", None, 7, ["test"], {"test": 1}, True])
def test_a_record_of_an_unknown_mode_is_refused_alone(mobile: Subscription, mode: object) -> None:
    receipt = report(record_of(mobile, mode=mode), record_of(mobile, mode="test"))
    assert (receipt.accepted, [refusal.code for refusal in receipt.refused]) == (1, ["invalid"])


def test_the_sums_of_both_modes_are_right(mobile: Subscription) -> None:
    yesterday = DAY.bucket_of(timezone.now()) - timedelta(days=1)
    for hour in range(3):
        at = yesterday + timedelta(hours=hour)
        report(record_of(mobile, at), record_of(mobile, at, mode="test"), record_of(mobile.api, at, mode="test"))
    fold_all()
    assert rebuild_day(yesterday, repair=False) == []
    series = {(each.dimension, each.subscription_id) for each in Series.objects.all()}
    assert {each for each, _id in series} == set(Dimension)
    assert (Dimension.TEST_SUBSCRIPTION, None) in series


def test_the_dashboard_counts_live_calls(traffic: Subscription) -> None:
    assert requests_per_day(1)[0][1] == 2
    assert top_tenants(1, 5) == [("acme", 2)]


def test_an_older_release_reports_live_traffic(mobile: Subscription, victor: Caller) -> None:
    sketch = Sketch.of([cell_of(200, 1)])
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO metrics_trafficdelta (minute, last_request_at, tenant_id, api_id, subscription_id, requests,"
            " errors, sketch) VALUES (now(), now(), %s, %s, %s, 1, 0, %s)",
            [mobile.tenant_id, mobile.api_id, mobile.id, sketch.to_bytes()],
        )
    assert TrafficDelta.objects.get().mode == "live"
    assert totals(victor, f"{TENANT}/metrics") == (1, 0)
