"""What one tenant may have at most: each bound at its edge, also for requests at once."""

from collections.abc import Callable
from typing import Any

import pytest

from apikeys.models import ApiKey
from catalog.models import Api
from subscriptions.models import Plan, Subscription
from subscriptions.services import plans
from tenants.models import Tenant
from tests.answers import refusal_of
from tests.conftest import Caller
from tests.factories import ApiFactory, PlanFactory, SubscriptionFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db

REACHED = (409, "conflict", "", "limit_reached")
# How the n-th of a kind is made, and what takes one away.
Maker = Callable[[Caller, Tenant, int], Any]


def an_api(caller: Caller, tenant: Tenant, number: int) -> Any:
    body = {"name": f"api-{number}", "path": f"/path-{number}", "upstream_url": "https://up.example.com"}
    return caller.post(f"/v1/tenants/{tenant.id}/apis", body)


def a_plan(caller: Caller, tenant: Tenant, number: int) -> Any:
    return caller.post(f"/v1/tenants/{tenant.id}/plans", {"slug": f"plan-{number}", "name": "Plan"})


def a_subscription(caller: Caller, tenant: Tenant, number: int) -> Any:
    api = Api.objects.filter(tenant=tenant).first() or ApiFactory(tenant=tenant)
    plan = Plan.objects.filter(tenant=tenant, slug="gold").first() or PlanFactory(tenant=tenant, slug="gold")
    body = {"api_id": api.id, "plan": plan.slug, "application": f"app-{number}"}
    return caller.post(f"/v1/tenants/{tenant.id}/subscriptions", body)


def a_key(caller: Caller, tenant: Tenant, number: int) -> Any:
    subscription = Subscription.objects.filter(tenant=tenant).first() or SubscriptionFactory(tenant=tenant, active=True)
    body = {"subscription_id": subscription.id, "name": f"key-{number}"}
    return caller.post(f"/v1/tenants/{tenant.id}/apikeys", body)


KINDS = {
    "apis": (an_api, Api, "STOA_MAX_APIS_PER_TENANT"),
    "plans": (a_plan, Plan, None),
    "subscriptions": (a_subscription, Subscription, "STOA_MAX_SUBSCRIPTIONS_PER_TENANT"),
    "apikeys": (a_key, ApiKey, "STOA_MAX_KEYS_PER_TENANT"),
}


@pytest.fixture
def bound(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    def set_bound(kind: str, limit: int) -> None:
        setting = KINDS[kind][2]
        if setting is None:
            monkeypatch.setattr(plans, "MAX_PLANS_PER_TENANT", limit)
        else:
            setattr(settings, setting, limit)

    return set_bound


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_place_is_given_and_no_other(
    olga: Caller, acme: Tenant, globex: Tenant, kind: str, bound: Callable[[str, int], None]
) -> None:
    make, model, _setting = KINDS[kind]
    bound(kind, 2)

    first, second, third = [make(olga, acme, number) for number in range(3)]

    assert (first.status_code, second.status_code) == (201, 201)
    assert refusal_of(third) == REACHED
    assert model.objects.filter(tenant=acme).count() == 2
    assert make(olga, globex, 1).status_code == 201  # another tenant has places of its own


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_gone_leaves_its_place(
    olga: Caller, acme: Tenant, kind: str, bound: Callable[[str, int], None]
) -> None:
    make, _model, _setting = KINDS[kind]
    bound(kind, 1)
    made = make(olga, acme, 1).json()

    assert olga.delete(f"/v1/tenants/{acme.id}/{kind}/{made['id']}").status_code == 204

    assert make(olga, acme, 2).status_code == 201


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS)
def test_of_eight_at_once_with_two_places_left_two_pass(
    olga: Caller, acme: Tenant, kind: str, bound: Callable[[str, int], None]
) -> None:
    make, model, _setting = KINDS[kind]
    make(olga, acme, 0)
    bound(kind, 3)

    answers = at_once(*[lambda number=number: make(olga, acme, number) for number in range(1, 9)])

    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [409] * 6
    assert model.objects.filter(tenant=acme).count() == 3
