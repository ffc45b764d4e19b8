"""What subscriptions have used of their hour and their month."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apikeys.models import Meter
from catalog.models import Api
from subscriptions.models import Subscription
from tests.conftest import Caller
from tests.factories import SubscriptionFactory
from tests.metrics.traffic import fold_all, record_of, report

pytestmark = pytest.mark.django_db

NOW = datetime(2025, 1, 9, 10, 15, 30, tzinfo=UTC)


@pytest.fixture
def keys_of_today(alice: Caller) -> None:
    """Have the provider's keys fetched before the clock is set back: of last year, they are too old for other tests."""
    assert alice.get("/v1/me").status_code == 200


@pytest.fixture
def ninth_of_january(keys_of_today: None) -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def new_years_eve(keys_of_today: None) -> Iterator[None]:
    with time_machine.travel(datetime(2024, 12, 31, 23, 30, tzinfo=UTC), tick=False):
        yield


@pytest.fixture
def busy(mobile: Subscription) -> Subscription:
    """Five calls this month, two of them in this hour, one not folded yet; and one of December."""
    report(record_of(mobile, datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC)))
    report(record_of(mobile, datetime(2025, 1, 1, tzinfo=UTC)), record_of(mobile, NOW - timedelta(days=1), status=500))
    report(record_of(mobile, NOW - timedelta(minutes=16)), record_of(mobile, NOW - timedelta(minutes=15)))
    fold_all()
    report(record_of(mobile, NOW))
    return mobile


@pytest.mark.usefixtures("ninth_of_january")
def test_usage_has_the_contracts_shape(alice: Caller, busy: Subscription) -> None:
    response = alice.get(f"/v1/tenants/acme/subscriptions/{busy.id}/usage")

    assert response.status_code == 200
    assert response.json() == {
        "subscription_id": busy.id,
        "period": {"start": "2025-01-01", "end": "2025-01-31"},
        "requests": 5,
        "errors": 1,
        "rate_limit": {"limit": 1000, "remaining": 998, "reset": 1736420400},
        "quota": {"limit": 50000, "used": 5, "remaining": 49995, "resets_at": "2025-02-01T00:00:00Z"},
        "last_request_at": "2025-01-09T10:15:30Z",
    }


def test_a_subscription_without_calls_has_used_nothing(alice: Caller, mobile: Subscription) -> None:
    usage = alice.get(f"/v1/tenants/acme/subscriptions/{mobile.id}/usage").json()
    assert (usage["requests"], usage["errors"], usage["last_request_at"]) == (0, 0, None)
    assert usage["rate_limit"]["remaining"] == 1000


def test_without_limits_nothing_remains_to_be_told(alice: Caller, mobile: Subscription) -> None:
    Subscription.objects.update(rate_limit=None, quota=None)
    usage = alice.get(f"/v1/tenants/acme/subscriptions/{mobile.id}/usage").json()
    assert (usage["rate_limit"]["limit"], usage["rate_limit"]["remaining"]) == (None, None)
    assert (usage["quota"]["limit"], usage["quota"]["remaining"]) == (None, None)


def test_what_is_overdrawn_remains_zero(alice: Caller, mobile: Subscription) -> None:
    Subscription.objects.update(rate_limit=1, quota=1)
    report(record_of(mobile), record_of(mobile))
    usage = alice.get(f"/v1/tenants/acme/subscriptions/{mobile.id}/usage").json()
    assert (usage["rate_limit"]["remaining"], usage["quota"]["remaining"]) == (0, 0)


@pytest.mark.usefixtures("ninth_of_january")
def test_what_is_left_is_what_the_limiter_counted(alice: Caller, busy: Subscription) -> None:
    hour, month = NOW.replace(minute=0, second=0), datetime(2025, 1, 1, tzinfo=UTC)
    Meter.objects.create(subject=busy.id, tenant=busy.tenant, hour=hour, hour_calls=7, month=month, month_calls=40)

    usage = alice.get(f"/v1/tenants/acme/subscriptions/{busy.id}/usage").json()

    assert usage["requests"] == 5
    assert usage["rate_limit"]["remaining"] == 993
    assert (usage["quota"]["used"], usage["quota"]["remaining"]) == (40, 49_960)

    Meter.objects.update(hour=hour - timedelta(hours=1))
    usage = alice.get(f"/v1/tenants/acme/subscriptions/{busy.id}/usage").json()
    assert usage["rate_limit"]["remaining"] == 1_000

    Meter.objects.update(month=month - timedelta(days=31))  # the limiter was not asked this month
    usage = alice.get(f"/v1/tenants/acme/subscriptions/{busy.id}/usage").json()
    assert usage["quota"]["used"] == 5


@pytest.mark.usefixtures("new_years_eve")
def test_the_last_month_ends_with_the_year(alice: Caller, mobile: Subscription) -> None:
    report(*(record_of(mobile, datetime(2024, month, 30, tzinfo=UTC)) for month in (11, 12)))

    usage = alice.get(f"/v1/tenants/acme/subscriptions/{mobile.id}/usage").json()

    assert usage["period"] == {"start": "2024-12-01", "end": "2024-12-31"}
    assert usage["quota"]["resets_at"] == "2025-01-01T00:00:00Z"
    assert usage["requests"] == 1


@pytest.fixture
def three_callers(payments: Api) -> list[Subscription]:
    """Three subscriptions that made 1, 2 and 3 calls; the quietest is nearest its quota."""
    three_callers = []
    for calls, quota in ((1, 2), (2, None), (3, 1_000)):
        subscription = SubscriptionFactory(
            tenant=payments.tenant, api=payments, application=f"calls-{calls}", active=True, quota=quota
        )
        report(*[record_of(subscription)] * calls)
        three_callers.append(subscription)
    fold_all()
    return three_callers


def names(response: object) -> list[str]:
    return [item["application"] for item in response.json()["items"]]  # type: ignore[attr-defined]


def test_the_tenants_list_says_whose_usage_it_is(alice: Caller, three_callers: list[Subscription]) -> None:
    (item,) = alice.get("/v1/tenants/acme/usage?application=calls-3").json()["items"]

    assert item["subscription_id"] == three_callers[2].id
    assert (item["api_id"], item["plan"], item["status"]) == (
        three_callers[2].api_id,
        three_callers[2].plan.slug,
        "active",
    )
    assert item["requests"] == 3
    assert item["quota"]["remaining"] == 997


def test_the_list_can_be_sorted_by_consumption(alice: Caller, three_callers: list[Subscription]) -> None:
    assert names(alice.get("/v1/tenants/acme/usage?sort=-requests")) == ["calls-3", "calls-2", "calls-1"]
    assert names(alice.get("/v1/tenants/acme/usage?sort=requests&limit=1")) == ["calls-1"]


def test_the_list_can_be_sorted_by_how_near_the_quota_is(alice: Caller, three_callers: list[Subscription]) -> None:
    assert names(alice.get("/v1/tenants/acme/usage?sort=-quota_share")) == ["calls-1", "calls-3", "calls-2"]


def test_a_quota_of_nothing_divides_nothing(alice: Caller, mobile: Subscription) -> None:
    Subscription.objects.update(quota=0)
    assert names(alice.get("/v1/tenants/acme/usage?sort=-quota_share")) == ["mobile"]


def test_the_list_has_only_the_tenants_own(
    alice: Caller, three_callers: list[Subscription], foreign: Subscription
) -> None:
    assert alice.get("/v1/tenants/acme/usage").json()["total"] == 3
    assert alice.get("/v1/tenants/globex/usage").status_code == 404
    assert alice.get(f"/v1/tenants/acme/subscriptions/{foreign.id}/usage").status_code == 404


def test_a_longer_list_takes_no_more_queries(alice: Caller, three_callers: list[Subscription]) -> None:
    alice.get("/v1/tenants/acme/usage")  # the first call of a token takes more

    def queries(limit: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert len(alice.get(f"/v1/tenants/acme/usage?limit={limit}").json()["items"]) == limit
        return len(captured)

    assert queries(3) <= queries(1)
