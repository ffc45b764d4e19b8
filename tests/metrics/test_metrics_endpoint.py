"""GET …/metrics for a tenant, an API and a subscription."""

import csv
from datetime import timedelta
from io import StringIO

import pytest
from django.utils import timezone

from catalog.models import Api
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests.conftest import Caller
from tests.metrics.traffic import fold_all, record_of, report

pytestmark = pytest.mark.django_db

JANUARY = "start_date=2025-01-01&end_date=2025-01-31"


@pytest.fixture
def busy(mobile: Subscription) -> Subscription:
    """A subscription with three calls on 9 January 2025, one of them an error."""
    day = timezone.now().replace(year=2025, month=1, day=9, hour=10)
    report(*(record_of(mobile, day, latency_ms=ms, status=code) for ms, code in ((87, 200), (95, 404), (40, 500))))
    return mobile


def test_the_answer_has_the_specified_shape(alice: Caller, busy: Subscription) -> None:
    response = alice.get(f"/v1/tenants/acme/metrics?{JANUARY}&granularity=day")

    assert response.status_code == 200
    counted = {"requests": 3, "errors": 1, "p50_latency_ms": 87, "p95_latency_ms": 95, "p99_latency_ms": 95}
    assert response.json() == {
        "metrics": [{"date": "2025-01-09"} | counted],
        "granularity": "day",
        "start_date": "2025-01-01",
        "end_date": "2025-01-31",
        "totals": counted,
        "percentile_relative_error": 0.01,
    }


def test_an_api_and_a_subscription_answer_in_the_same_shape(alice: Caller, busy: Subscription, payments: Api) -> None:
    of_tenant = alice.get(f"/v1/tenants/acme/metrics?{JANUARY}").json()

    assert alice.get(f"/v1/tenants/acme/apis/{payments.id}/metrics?{JANUARY}").json() == of_tenant
    assert alice.get(f"/v1/tenants/acme/subscriptions/{busy.id}/metrics?{JANUARY}").json() == of_tenant


def test_without_traffic_there_are_no_lines_and_no_percentiles(alice: Caller, acme: Tenant) -> None:
    answer = alice.get("/v1/tenants/acme/metrics").json()

    assert answer["metrics"] == []
    assert answer["end_date"] == timezone.now().date().isoformat()
    assert answer["start_date"] == (timezone.now().date() - timedelta(days=29)).isoformat()
    assert answer["totals"] == {
        "requests": 0,
        "errors": 0,
        "p50_latency_ms": None,
        "p95_latency_ms": None,
        "p99_latency_ms": None,
    }


def test_fine_buckets_are_named_by_their_time(alice: Caller, mobile: Subscription) -> None:
    now = timezone.now()
    report(record_of(mobile, now))
    fold_all()

    (line,) = alice.get("/v1/tenants/acme/metrics?granularity=minute").json()["metrics"]
    assert line["date"] == now.strftime("%Y-%m-%dT%H:%M:00Z")


@pytest.mark.parametrize(
    ("group_by", "field", "groups"),
    [
        ("status", "status", {"2xx", "4xx", "5xx"}),
        ("api", "api_id", {"api"}),
        ("subscription", "subscription_id", {"sub"}),
    ],
)
def test_lines_name_their_group(alice: Caller, busy: Subscription, group_by: str, field: str, groups: set[str]) -> None:
    lines = alice.get(f"/v1/tenants/acme/metrics?{JANUARY}&group_by={group_by}").json()["metrics"]
    assert {line[field][:3] for line in lines} == groups
    assert sum(line["requests"] for line in lines) == 3


def test_gaps_are_filled_on_request(alice: Caller, busy: Subscription) -> None:
    lines = alice.get(f"/v1/tenants/acme/metrics?{JANUARY}&fill=true").json()["metrics"]
    assert len(lines) == 31
    assert lines[0] == {
        "date": "2025-01-01",
        "requests": 0,
        "errors": 0,
        "p50_latency_ms": None,
        "p95_latency_ms": None,
        "p99_latency_ms": None,
    }


def test_a_table_can_be_downloaded(alice: Caller, busy: Subscription) -> None:
    response = alice.get(f"/v1/tenants/acme/metrics?{JANUARY}&group_by=status", Accept="text/csv")

    assert response["Content-Type"].startswith("text/csv")
    assert response["Content-Disposition"] == 'attachment; filename="metrics-acme-2025-01-01-2025-01-31.csv"'
    rows = list(csv.DictReader(StringIO(response.content.decode())))
    assert [(row["date"], row["status"], row["requests"]) for row in rows] == [
        ("2025-01-09", "2xx", "1"),
        ("2025-01-09", "4xx", "1"),
        ("2025-01-09", "5xx", "1"),
    ]


def test_an_empty_table_still_has_its_head(alice: Caller, acme: Tenant) -> None:
    response = alice.get("/v1/tenants/acme/metrics", Accept="text/csv")
    assert response.content == b"date,requests,errors,p50_latency_ms,p95_latency_ms,p99_latency_ms\r\n"


def test_a_refusal_is_no_table(alice: Caller, acme: Tenant) -> None:
    response = alice.get("/v1/tenants/acme/metrics?granularity=century", Accept="text/csv")
    assert response.status_code == 400
    assert response["Content-Type"] == "application/json"
    assert response.json()["error"]["details"][0]["field"] == "granularity"


def test_other_media_types_are_not_acceptable(alice: Caller, acme: Tenant) -> None:
    response = alice.get("/v1/tenants/acme/metrics", Accept="image/png")
    assert response.status_code == 406
    assert response.json()["error"]["code"] == "validation_error"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("granularity=century", "granularity"),
        ("group_by=colour", "group_by"),
        ("fill=perhaps", "fill"),
        ("start_date=yesterday", "start_date"),
        ("start_date=2025-02-30", "start_date"),
        ("start_date=2025-01-09T00:00:00Z", "start_date"),
        ("end_date=2025-01-%00", "end_date"),
        ("start_date=2025-01-31&end_date=2025-01-01", "start_date"),
        ("start_date=2025-01-01&end_date=2025-01-03&granularity=minute", "start_date"),
        ("start_date=2024-01-01&end_date=2025-12-31", "start_date"),
        ("end_date=9999-12-31", "end_date"),
        ("from=2025-01-01", "from"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(alice: Caller, acme: Tenant, query: str, field: str) -> None:
    response = alice.get(f"/v1/tenants/acme/metrics?{query}")
    assert response.status_code == 400
    assert response.json()["error"]["details"][0]["field"] == field


@pytest.mark.parametrize("thing", ["apis/{api}", "subscriptions/{subscription}"])
def test_another_tenants_things_are_not_found(
    alice: Caller, bob: Caller, acme: Tenant, foreign: Subscription, thing: str
) -> None:
    path = thing.format(api=foreign.api_id, subscription=foreign.id)
    assert bob.get(f"/v1/tenants/globex/{path}/metrics").status_code == 200
    assert alice.get(f"/v1/tenants/acme/{path}/metrics").status_code == 404
    assert alice.get(f"/v1/tenants/globex/{path}/metrics").status_code == 404


def test_a_reader_may_ask_and_a_stranger_finds_nothing(
    victor: Caller, bob: Caller, anonymous: Caller, acme: Tenant
) -> None:
    assert victor.get("/v1/tenants/acme/metrics").status_code == 200
    assert bob.get("/v1/tenants/acme/metrics").status_code == 404
    assert anonymous.get("/v1/tenants/acme/metrics").status_code == 401
