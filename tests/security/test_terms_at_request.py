"""What an approver grants is what the subscription showed: its terms are copied when access is asked for."""

import re
from importlib import import_module

import pytest
from django.db import connection
from django.test import Client

from subscriptions.models import Plan, Subscription
from tenants.models import Tenant
from tests import log
from tests.answers import refusal_of
from tests.conftest import Caller
from tests.factories import ApiFactory, PlanFactory, SubscriptionFactory, TenantFactory
from tests.kernel.console.pages import dialog_of, page_of
from tests.races import overtaken

pytestmark = pytest.mark.django_db

SUBSCRIPTIONS = "/v1/tenants/acme/subscriptions"
COPY_TERMS = import_module("subscriptions.migrations.0005_terms_of_pending_requests").COPY_TERMS


@pytest.fixture
def plan(acme: Tenant) -> Plan:
    return PlanFactory(tenant=acme, rate_limit=100, quota=5_000)


def request_access(caller: Caller, plan: Plan) -> str:
    """Ask for access under the plan; return the subscription's path."""
    body = {"api_id": ApiFactory(tenant=plan.tenant).id, "plan": plan.slug, "application": "web"}
    response = caller.post(SUBSCRIPTIONS, body)
    assert response.status_code == 201
    return str(response["Location"])


def test_a_pending_subscription_shows_what_it_would_be_granted(dave: Caller, alice: Caller, plan: Plan) -> None:
    path = request_access(dave, plan)

    shown = alice.get(path).json()

    assert (shown["status"], shown["rate_limit"], shown["quota"]) == ("pending_approval", 100, 5_000)
    assert log.last_event().data["quota"] == 5_000


def test_a_change_of_the_plan_does_not_change_what_is_approved(alice: Caller, dave: Caller, plan: Plan) -> None:
    path = request_access(dave, plan)
    seen = alice.get(path)
    alice.patch(f"/v1/tenants/acme/plans/{plan.id}", {"rate_limit": None, "quota": None})

    granted = alice.post(f"{path}/approve", {}, if_match=seen["ETag"]).json()

    assert (granted["rate_limit"], granted["quota"]) == (100, 5_000)


def test_an_unlimited_plan_is_shown_and_granted_as_unlimited(alice: Caller, dave: Caller, plan: Plan) -> None:
    alice.patch(f"/v1/tenants/acme/plans/{plan.id}", {"rate_limit": None})
    path = request_access(dave, plan)
    alice.patch(f"/v1/tenants/acme/plans/{plan.id}", {"rate_limit": 1})

    granted = alice.post(f"{path}/approve", {}).json()

    assert (granted["rate_limit"], granted["quota"]) == (None, 5_000)


def test_terms_that_changed_meanwhile_are_a_new_version(alice: Caller, dave: Caller, plan: Plan) -> None:
    path = request_access(dave, plan)
    seen = alice.get(path)["ETag"]
    alice.patch(path, {"rate_limit": 5})

    refused = alice.post(f"{path}/approve", {}, if_match=seen)

    assert refusal_of(refused) == (412, "conflict", "", "precondition_failed")


def test_the_console_shows_the_terms_before_the_decision(console: Client, acme: Tenant, plan: Plan) -> None:
    pending = SubscriptionFactory(tenant=acme, plan=plan)
    Plan.objects.update(rate_limit=77_777)

    for page in (page_of(pending), dialog_of(pending, "approve")):
        content = console.get(page).content.decode()
        assert "100" in content
        assert not re.search(r"77\D?777", content)  # however the thousands are separated


def test_a_request_that_an_older_release_stores_has_the_terms_too(acme: Tenant, plan: Plan, alice: Caller) -> None:
    """The older release leaves them empty, and means those of the plan."""
    pending = SubscriptionFactory(tenant=acme, plan=plan, rate_limit=None, quota=None)
    Plan.objects.update(rate_limit=None, quota=None)

    granted = alice.post(f"{SUBSCRIPTIONS}/{pending.id}/approve", {}).json()

    assert (granted["rate_limit"], granted["quota"]) == (100, 5_000)


def test_requests_that_wait_during_the_upgrade_get_the_terms(acme: Tenant, plan: Plan, alice: Caller) -> None:
    empty = SubscriptionFactory(tenant=acme, plan=plan)
    lowered = SubscriptionFactory(tenant=acme, plan=plan)
    active = SubscriptionFactory(tenant=acme, plan=plan, active=True)
    Subscription.objects.filter(id=empty.id).update(rate_limit=None, quota=None)
    Subscription.objects.filter(id=lowered.id).update(rate_limit=7, quota=None)
    Subscription.objects.filter(id=active.id).update(rate_limit=None, quota=None)

    with connection.cursor() as cursor:
        cursor.execute(COPY_TERMS)
        cursor.execute(COPY_TERMS)  # the second time there is nothing to do

    terms = {row.id: (row.rate_limit, row.quota, row.version) for row in Subscription.objects.all()}
    assert terms == {empty.id: (100, 5_000, 2), lowered.id: (7, 5_000, 2), active.id: (None, None, 1)}


@pytest.mark.django_db(transaction=True)
def test_a_limit_that_is_lowered_meanwhile_is_granted_as_lowered(alice: Caller) -> None:
    pending = SubscriptionFactory(tenant=TenantFactory(name="acme"), rate_limit=1_000)

    granted = overtaken(lambda: alice.post(f"{SUBSCRIPTIONS}/{pending.id}/approve", {}), pending, rate_limit=5)

    assert (granted.json()["status"], granted.json()["rate_limit"]) == ("active", 5)
