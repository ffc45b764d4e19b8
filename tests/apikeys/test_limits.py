"""The limits of an hour, a month and an API: exact however many call at once, and told when they are used up."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from apikeys.decisions import meters
from apikeys.decisions.call import Call
from apikeys.decisions.decide import Decision, decide
from apikeys.decisions.meters import announce_quota, reset_meter
from apikeys.models import ApiKey, Meter
from catalog.models import Api
from catalog.routing import read_target
from stoa_cp.domain.actors import operator
from stoa_cp.domain.errors import NotFound
from stoa_cp.eventlog.models import Event
from subscriptions.models import Subscription
from subscriptions.services.subscriptions import update_subscription
from tests.apikeys.conftest import Edge, Issue
from tests.factories import ApiKeyFactory, SubscriptionFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db
OLGA = operator("olga")


def limit(**limits: int | None) -> None:
    Subscription.objects.update(**{"rate_limit": None, "quota": None} | limits)


def reasons(secret: str, calls: int, cost: int = 1) -> list[str | None]:
    return [decide(Call(secret, cost=cost)).reason for _call in range(calls)]


@pytest.mark.parametrize(("field", "reason"), [("rate_limit", "rate_limited"), ("quota", "quota_exceeded")])
def test_what_is_over_the_limit_is_refused(edge: Edge, secret: str, field: str, reason: str) -> None:
    limit(**{field: 2})

    answers = [edge.authorize("/acme/payments", secret) for _call in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2]["X-Stoa-Reason"] == reason
    assert answers[2].json()["error"]["code"] == "rate_limited"
    last_second = 3600 if field == "rate_limit" else 31 * 86_400
    assert 0 < int(answers[2]["Retry-After"]) <= last_second
    if field == "rate_limit":
        assert [answer["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]


def test_a_refused_call_is_not_counted(secret: str) -> None:
    limit(rate_limit=2, quota=100)
    assert reasons(secret, 5) == [None, None, *["rate_limited"] * 3]
    meter = Meter.objects.get()
    assert (meter.hour_calls, meter.month_calls) == (2, 2)


def test_a_month_that_is_used_up_goes_before_the_hour(secret: str) -> None:
    limit(rate_limit=1, quota=1)
    assert reasons(secret, 2) == [None, "quota_exceeded"]


def test_a_cost_counts_whole_or_not_at_all(secret: str) -> None:
    limit(rate_limit=10)
    assert reasons(secret, 3, cost=4) == [None, None, "rate_limited"]
    assert reasons(secret, 1, cost=2) == [None]
    assert Meter.objects.get().hour_calls == 10


def test_looking_counts_nothing_and_tells_what_a_call_would_be_told(edge: Edge, secret: str) -> None:
    limit(rate_limit=1)
    looks = [edge.verify(secret, cost=0).json() for _look in range(2)]
    assert [(look["code"], look["rate_limit"]["remaining"]) for look in looks] == [("valid", 1)] * 2
    assert reasons(secret, 1) == [None]
    assert edge.verify(secret, cost=0).json()["code"] == "rate_limited"
    assert Meter.objects.get().hour_calls == 1


def test_two_keys_of_a_subscription_share_its_limits(issue: Issue) -> None:
    (_first, one), (_second, other) = issue(), issue()
    limit(rate_limit=2)
    assert reasons(one, 1) + reasons(other, 2) == [None, None, "rate_limited"]


def test_the_ceiling_of_an_api_is_shared_by_all_who_call_it(payments: Api, secret: str) -> None:
    _other, others = issued_for(SubscriptionFactory(tenant=payments.tenant, api=payments, active=True))
    Api.objects.update(requests_per_hour=3)

    assert reasons(secret, 2) + reasons(others, 2) == [None, None, None, "rate_limited"]
    assert Meter.objects.get(subject=payments.id).hour_calls == 3
    # The call that the API refused is not counted for the application either.
    assert sorted(Meter.objects.exclude(subject=payments.id).values_list("month_calls", flat=True)) == [1, 2]


def issued_for(subscription: Subscription) -> tuple[ApiKey, str]:
    secret = "stoa_live_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd0WldG8"
    return ApiKeyFactory(subscription=subscription, current_secret=secret), secret


def test_a_call_that_its_subscription_refuses_is_not_counted_for_the_api(payments: Api, secret: str) -> None:
    limit(rate_limit=1)
    Api.objects.update(requests_per_hour=10)
    assert reasons(secret, 2) == [None, "rate_limited"]
    assert Meter.objects.get(subject=payments.id).hour_calls == 1


def test_anonymous_calls_count_on_the_ceiling(payments: Api) -> None:
    Api.objects.update(requests_per_hour=1, auth_required=False)
    calls = [decide(Call(None, read_target("/acme/payments"))) for _call in range(2)]
    assert [call.reason for call in calls] == [None, "rate_limited"]


def test_an_hour_ends_and_the_month_goes_on(secret: str) -> None:
    limit(rate_limit=1, quota=3)
    assert reasons(secret, 2) == [None, "rate_limited"]
    Meter.objects.update(hour=F("hour") - timedelta(hours=1))
    assert reasons(secret, 2) == [None, "rate_limited"]
    meter = Meter.objects.get()
    assert (meter.hour_calls, meter.month_calls) == (1, 2)


def test_a_month_ends(secret: str) -> None:
    limit(quota=1)
    assert reasons(secret, 2) == [None, "quota_exceeded"]
    Meter.objects.update(month=F("month") - timedelta(days=31), hour=F("hour") - timedelta(days=31))
    assert reasons(secret, 2) == [None, "quota_exceeded"]
    assert Meter.objects.get().month == timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    assert events() == ["quota.warning", "quota.exceeded"] * 2


def test_a_call_that_waited_over_the_full_hour_does_not_begin_the_old_one_again(secret: str) -> None:
    limit(rate_limit=2)
    decide(Call(secret))
    Meter.objects.update(hour=F("hour") + timedelta(hours=1))  # what the others have made of it meanwhile
    hour = Meter.objects.get().hour
    assert reasons(secret, 2) == [None, "rate_limited"]
    assert Meter.objects.get().hour == hour


def test_a_change_of_the_limits_keeps_the_count(mobile: Subscription, secret: str) -> None:
    limit(rate_limit=1)
    assert reasons(secret, 2) == [None, "rate_limited"]
    update_subscription(mobile, {"rate_limit": 3}, by=OLGA)
    assert reasons(secret, 3) == [None, None, "rate_limited"]


def test_the_count_of_the_month_is_in_the_write_ahead_log(secret: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'apikeys_meter'")
        assert cursor.fetchone() == ("p",)


@pytest.mark.django_db(transaction=True)
def test_only_the_count_does_not_wait_for_the_disk(secret: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit TO on")
        decide(Call(secret))
        decide(Call(secret))
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("on",)


# --- Announcements ---------------------------------------------------------------------------------------------------


def events() -> list[str]:
    return list(Event.objects.filter(type__startswith="quota.").order_by("sequence").values_list("type", flat=True))


def test_a_quota_is_announced_at_80_and_100_percent_once(mobile: Subscription, secret: str) -> None:
    limit(quota=10)
    assert reasons(secret, 7) == [None] * 7
    assert events() == []
    assert reasons(secret, 1) == [None]
    assert events() == ["quota.warning"]
    reasons(secret, 5)
    assert events() == ["quota.warning", "quota.exceeded"]
    warning, exceeded = Event.objects.filter(type__startswith="quota.").order_by("sequence")
    month = timezone.now().strftime("%Y-%m")
    assert warning.data["period"]["start"] == f"{month}-01"
    assert (warning.data["subscription_id"], warning.data["quota"]) == (mobile.id, 10)
    assert (warning.data["used"], warning.data["percent"]) == (8, 80)
    assert (exceeded.data["used"], exceeded.data["percent"]) == (10, 100)


def test_what_a_crash_kept_from_being_announced_is_announced_by_the_next_call(secret: str) -> None:
    limit(quota=2)
    reasons(secret, 1)
    Meter.objects.update(month_calls=2, announced_percent=0)
    assert reasons(secret, 1) == ["quota_exceeded"]
    assert events() == ["quota.warning", "quota.exceeded"]


# --- Operators ---------------------------------------------------------------------------------------------------


def test_an_operator_resets_a_meter(mobile: Subscription, secret: str) -> None:
    limit(rate_limit=1, quota=1)
    assert reasons(secret, 2) == [None, "quota_exceeded"]

    reset_meter(Meter.objects.get(), by=OLGA)

    assert reasons(secret, 2) == [None, "quota_exceeded"]
    reset = Event.objects.get(type="quota.reset")
    assert (reset.actor, reset.data["subscription_id"], reset.data["used"]) == ("stoa:operator:olga", mobile.id, 1)
    assert events().count("quota.exceeded") == 2


def test_a_meter_that_is_none_is_not_reset() -> None:
    with pytest.raises(NotFound):
        reset_meter(Meter(subject="sub-0000000000000000"), by=OLGA)


# --- Races -----------------------------------------------------------------------------------------------------------


def allowed(decisions: list[Decision]) -> int:
    return sum(decision.is_allowed for decision in decisions)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["hour", "month", "api", "all"])
@pytest.mark.parametrize("is_new", [False, True], ids=["a meter", "no meter yet"])
def test_of_64_calls_at_once_with_ten_left_ten_pass(
    issue: Issue,
    payments: Api,
    kind: str,
    is_new: bool,  # noqa: FBT001 - a column
) -> None:
    secrets = [issue()[1] for _key in range(2)]
    left = 10 if is_new else 11
    limit(rate_limit=left if kind in ("hour", "all") else None, quota=left if kind in ("month", "all") else None)
    Api.objects.update(requests_per_hour=left if kind in ("api", "all") else None)
    if not is_new:
        decide(Call(secrets[0]))
    target = read_target("/acme/payments")

    def calling(secret: str) -> Callable[[], Decision]:
        return lambda: decide(Call(secret, target))

    assert allowed(at_once(*map(calling, secrets * 32))) == 10
    assert set(Meter.objects.values_list("hour_calls", "month_calls")) == {(left, left)}


@pytest.mark.django_db(transaction=True)
def test_of_many_calls_that_reach_a_share_at_once_one_announces_it(secret: str) -> None:
    limit(quota=20)
    reasons(secret, 15)
    at_once(*[lambda: decide(Call(secret))] * 16)
    assert events() == ["quota.warning", "quota.exceeded"]


@pytest.mark.django_db(transaction=True)
def test_two_that_announce_at_once_announce_once(mobile: Subscription, secret: str) -> None:
    limit(quota=1)
    meters.open_meters(mobile.tenant_id, [mobile.id])
    Meter.objects.update(month_calls=1)
    at_once(*[lambda: announce_quota(mobile.id)] * 8)
    assert events() == ["quota.warning", "quota.exceeded"]


@pytest.mark.django_db(transaction=True)
def test_resets_among_calls_lose_none_but_those_that_they_tell(secret: str) -> None:
    decide(Call(secret))
    meter = Meter.objects.get()

    def call() -> int:
        return allowed([decide(Call(secret)) for _call in range(30)])

    def reset() -> int:
        return sum(reset_meter(meter, by=OLGA).hour_calls for _reset in range(15))

    at_once(call, call, call, reset)

    forgotten = sum(event.data["used"] for event in Event.objects.filter(type="quota.reset"))
    meter.refresh_from_db()
    assert meter.month_calls == 91 - forgotten


def test_meters_that_are_there_are_not_opened_again(mobile: Subscription, secret: str) -> None:
    decide(Call(secret))
    meters.open_meters(mobile.tenant_id, [mobile.id])
    assert Meter.objects.get().hour_calls == 1
