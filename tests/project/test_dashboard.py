"""The dashboard's figures are those of the database."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from subscriptions.models import Subscription
from tenants.models import Tenant
from tests.factories import ApiFactory, SubscriptionFactory, TenantFactory
from tests.metrics.traffic import fold_all, record_of, report

pytestmark = pytest.mark.django_db


def dashboard(console: Client) -> Any:
    response = console.get("/admin/")
    assert response.status_code == 200
    return response.context


def figures(console: Client) -> list[str]:
    return [figure["count"] for figure in dashboard(console)["figures"]]


@pytest.fixture
def busy(acme: Tenant, globex: Tenant) -> Subscription:
    """Two tenants with three APIs, two active subscriptions and one that waits."""
    ApiFactory(tenant=globex)
    SubscriptionFactory(tenant=acme, application="web-shop")
    SubscriptionFactory(tenant=acme, active=True)
    return SubscriptionFactory(tenant=globex, api=globex.apis.get(), active=True)


def test_an_empty_installation_says_so(console: Client) -> None:
    page = console.get("/admin/").content.decode()

    assert figures(console) == ["0", "0", "0", "0"]
    for sentence in (
        "No gateway has reported",
        "No subscription waits for a decision.",
        "No tenant has had a request yet.",
    ):
        assert sentence in page


def test_the_four_figures(console: Client, busy: Subscription) -> None:
    assert figures(console) == ["2", "3", "2", "1"]


def test_what_went_with_a_tenant_is_not_counted(console: Client, busy: Subscription) -> None:
    gone = TenantFactory(status="deleted", deleted_at=timezone.now())
    SubscriptionFactory(tenant=gone)
    SubscriptionFactory(tenant=gone, active=True)

    assert figures(console) == ["2", "3", "2", "1"]


def test_requests_are_counted_by_day_folded_or_not(console: Client, busy: Subscription) -> None:
    now = timezone.now()
    report(record_of(busy, now), record_of(busy, now - timedelta(days=2)), record_of(busy, now - timedelta(days=40)))
    fold_all()
    report(record_of(busy, now))

    context = dashboard(console)

    chart = json.loads(context["requests_chart"])
    assert chart["labels"] == [f"{now - timedelta(days=day):%m-%d}" for day in range(29, -1, -1)]
    assert chart["datasets"][0]["data"] == [0] * 27 + [1, 0, 2]
    assert context["requests"] == "3"


def test_the_tenants_with_most_requests_come_first(console: Client, busy: Subscription, acme: Tenant) -> None:
    other = Subscription.objects.get(tenant=acme, status="active")
    report(*[record_of(other)] * 4, record_of(busy))

    bars = dashboard(console)["top_tenants"]

    assert bars == [
        {"name": "acme", "count": "4", "percent": 100},
        {"name": "globex", "count": "1", "percent": 25},
    ]


def test_who_waits_longest_is_first_in_the_table(console: Client, busy: Subscription) -> None:
    oldest = SubscriptionFactory(application="crm-sync")
    Subscription.objects.filter(pk=oldest.pk).update(created_at=timezone.now() - timedelta(days=3))

    rows = dashboard(console)["waiting"]["rows"]

    assert [("crm-sync" in row[0], "web-shop" in row[0]) for row in rows] == [(True, False), (False, True)]
    assert rows[0][1] == f"{oldest.tenant.name}/{oldest.api.name}"


def test_the_badge_counts_who_waits(console: Client, busy: Subscription) -> None:
    assert _approvals(console)["badge"] == "1"


def test_the_badge_stops_counting(console: Client, busy: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
    SubscriptionFactory.create_batch(2, tenant=busy.tenant)
    monkeypatch.setattr("stoa_cp.dashboard.BADGE_LIMIT", 3)
    assert _approvals(console)["badge"] == "2+"
    monkeypatch.setattr("stoa_cp.dashboard.BADGE_LIMIT", 4)
    assert _approvals(console)["badge"] == "3"


def test_there_is_no_badge_when_nobody_waits(console: Client) -> None:
    assert _approvals(console)["badge"] is None


def _approvals(console: Client) -> Any:
    operations = dashboard(console)["sidebar_navigation"][0]["items"]
    return next(item for item in operations if item["title"] == "Approvals")


def test_the_dashboard_takes_a_fixed_number_of_queries(
    console: Client, busy: Subscription, django_assert_num_queries: Any
) -> None:
    report(record_of(busy))

    # Session, user, badge; four figures, the traffic, the table, the bars.
    with django_assert_num_queries(10):
        console.get("/admin/")
