"""The command ``subscribe``."""

import pytest

from apikeys.models import ApiKey
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests import log
from tests.commands import refusal_of_command, run
from tests.factories import ApiFactory, PlanFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("call_it", ["id", "name"])
def test_an_application_is_subscribed(acme: Tenant, call_it: str) -> None:
    api = ApiFactory(tenant=acme, name="payment-api")
    PlanFactory(tenant=acme, slug="standard")
    names = [getattr(acme, call_it), getattr(api, call_it)]

    (line,) = run("subscribe", *names, "--application", "mobile-app", "--as", "olga")

    subscription = Subscription.objects.get()
    assert line == f"Subscription {subscription.id} of mobile-app to payment-api: pending approval"
    assert subscription.created_by == log.last_event().actor == "stoa:operator:olga"


def test_an_automatic_plan_prints_the_key(acme: Tenant) -> None:
    ApiFactory(tenant=acme, name="payment-api")
    PlanFactory(tenant=acme, slug="free", approval="automatic")

    line, secret = run("subscribe", "acme", "payment-api", "--application", "mobile-app", "--plan", "free")

    assert line.endswith("to payment-api: active")
    assert ApiKey.objects.get().start == secret[:14] + "…"


def test_what_rest_refuses_is_refused_with_the_same_sentences(acme: Tenant) -> None:
    ApiFactory(tenant=acme, name="payment-api")
    ApiFactory(tenant=acme, name="orders", api_version="v1")
    ApiFactory(tenant=acme, name="orders", api_version="v2", path="/orders/v2")
    PlanFactory(tenant=acme, slug="standard")

    def refused(tenant: str, api: str, *options: str) -> str:
        return refusal_of_command("subscribe", tenant, api, "--application", "mobile-app", *options)

    assert refused("initech", "payment-api") == "There is no tenant initech."
    assert refused("acme", "payments") == "acme has no API payments."
    assert refused("acme", "orders") == "acme has several versions of orders: name one by its id."
    assert refused("acme", "payment-api", "--plan", "gold") == "plan: There is no such plan; there are: standard."
    assert refused("acme", "payment-api", "--application", "x" * 101).startswith("application: ")
    run("subscribe", "acme", "payment-api", "--application", "mobile-app")
    assert refused("acme", "payment-api").startswith("application: This application has a live subscription")
