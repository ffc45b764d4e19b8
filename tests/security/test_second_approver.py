"""Every way to loosen access, through every door, by the requester, by another person, and without the right."""

from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings

from stoa_cp.devserver.grants import Grants
from stoa_cp.identity.permissions import RIGHTS
from subscriptions.models import Plan, Subscription
from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, refusal_of
from tests.commands import refusal_of_command
from tests.conftest import Caller
from tests.factories import ApiFactory, PlanFactory, SubscriptionFactory, TenantFactory
from tests.kernel.console.pages import answer, dialog_of, said
from tests.races import overtaken
from tests.security.second_approver import REQUIRED, administrator, console_of

pytestmark = pytest.mark.django_db

FIND_AUTHORS = import_module("subscriptions.migrations.0006_plan_terms_set_by").FIND_AUTHORS
IN_2100, IN_2101 = "2100-01-01T00:00:00Z", "2101-01-01T00:00:00Z"
# status of the subscription, method, action, body
Way = tuple[str, str, str, dict[str, Any] | None]
LOOSENING: dict[str, Way] = {
    "approve as requested": ("pending_approval", "POST", "/approve", {}),
    "approve tighter terms": ("pending_approval", "POST", "/approve", {"rate_limit": 1}),
    "approve without limits": ("pending_approval", "POST", "/approve", {"rate_limit": None, "quota": None}),
    "approve without a key": ("pending_approval", "POST", "/approve", {"issue_key": False}),
    "resume": ("suspended", "POST", "/resume", None),
    "a higher rate limit": ("active", "PATCH", "", {"rate_limit": 1_001}),
    "no rate limit": ("active", "PATCH", "", {"rate_limit": None}),
    "a higher quota": ("active", "PATCH", "", {"quota": 50_001}),
    "no quota": ("active", "PATCH", "", {"quota": None}),
    "a later end": ("active", "PATCH", "", {"expires_at": IN_2101}),
    "no end": ("active", "PATCH", "", {"expires_at": None}),
    "one term looser, the others tighter": ("active", "PATCH", "", {"rate_limit": 1, "quota": None}),
    "while it waits": ("pending_approval", "PATCH", "", {"quota": None}),
    "while it is suspended": ("suspended", "PATCH", "", {"quota": None}),
}
TIGHTENING: dict[str, Way] = {
    "reject": ("pending_approval", "POST", "/reject", {}),
    "suspend": ("active", "POST", "/suspend", {}),
    "revoke": ("active", "DELETE", "", {}),
    "a lower rate limit": ("active", "PATCH", "", {"rate_limit": 1}),
    "a lower quota": ("active", "PATCH", "", {"quota": 1}),
    "an earlier end": ("active", "PATCH", "", {"expires_at": "2099-01-01T00:00:00Z"}),
    "the same terms": ("active", "PATCH", "", {"rate_limit": 1_000, "expires_at": IN_2100}),
}


@pytest.fixture(autouse=True)
def _rule(settings: Settings) -> None:
    settings.STOA_REQUIRE_SECOND_APPROVER = True


def subscription_of(tenant: Tenant, status: str, requester: str = "alice") -> Subscription:
    """Return a subscription of 1,000 an hour and 50,000 a month until 2100, in a status."""
    decided: dict[str, Any] = {} if status == "pending_approval" else {"active": True}
    end = datetime(2100, 1, 1, tzinfo=UTC)
    return SubscriptionFactory(
        tenant=tenant, created_by=log.subject(requester), status=status, expires_at=end, **decided
    )


def carry_out(caller: Caller, way: Way, subscription: Subscription, query: str = "") -> Any:
    _status, method, action, body = way
    path = f"/v1/tenants/acme/subscriptions/{subscription.id}{action}{query}"
    return caller.send(method, path, body, {})


@pytest.mark.parametrize("name", LOOSENING)
def test_over_rest_another_person_loosens(
    alice: Caller, dave: Caller, olga: Caller, realm: Grants, acme: Tenant, name: str
) -> None:
    way = LOOSENING[name]
    subscription = subscription_of(acme, way[0])

    assert refusal_of(carry_out(dave, way, subscription)) == MISSING_ROLE
    assert refusal_of(carry_out(alice, way, subscription)) == REQUIRED
    assert refusal_of(carry_out(alice, way, subscription, "?dry_run=true")) == REQUIRED
    assert not log.events().exists()
    assert carry_out(administrator(realm, "anna"), way, subscription).status_code == 200
    assert carry_out(olga, way, subscription_of(acme, way[0])).status_code == 200


@pytest.mark.parametrize("name", LOOSENING)
def test_without_the_rule_the_right_is_enough(
    alice: Caller, dave: Caller, acme: Tenant, settings: Settings, name: str
) -> None:
    settings.STOA_REQUIRE_SECOND_APPROVER = False
    subscription = subscription_of(acme, LOOSENING[name][0])

    assert refusal_of(carry_out(dave, LOOSENING[name], subscription)) == MISSING_ROLE
    assert carry_out(alice, LOOSENING[name], subscription).status_code == 200


@pytest.mark.parametrize("name", TIGHTENING)
def test_her_own_access_may_be_tightened(alice: Caller, acme: Tenant, name: str) -> None:
    subscription = subscription_of(acme, TIGHTENING[name][0])

    assert carry_out(alice, TIGHTENING[name], subscription).status_code in (200, 204)


@pytest.mark.parametrize("name", TIGHTENING)
def test_without_the_right_nothing_but_the_callback_is_changed(dave: Caller, acme: Tenant, name: str) -> None:
    way = TIGHTENING[name]
    subscription = subscription_of(acme, way[0], requester="dave")

    response = carry_out(dave, way, subscription)

    assert (response.status_code == 200) if name == "the same terms" else (refusal_of(response) == MISSING_ROLE)
    callback = {"callback_url": "https://app.example.com/events"}
    assert dave.patch(f"/v1/tenants/acme/subscriptions/{subscription.id}", callback).status_code == 200


TERMS = {"rate_limit": "1", "quota": "", "expires_at": ""}


@pytest.mark.parametrize(("action", "status"), [("approve", "pending_approval"), ("resume", "suspended")])
def test_in_the_console_another_person_loosens(
    acme: Tenant, console: Client, readonly_console: Client, action: str, status: str
) -> None:
    subscription = subscription_of(acme, status, requester="olga")

    hers = answer(console_of(log.subject("olga")), dialog_of(subscription, action), **TERMS)
    by_password = answer(console, dialog_of(subscription, action), **TERMS)
    answer(readonly_console, dialog_of(subscription, action), **TERMS)

    assert said(hers) == ["warning: A person other than the requester must decide on this subscription."]
    assert said(by_password) == ["warning: A command or a password proves no person: sign in at the identity provider."]
    assert not log.events().exists()
    answer(console_of("boris"), dialog_of(subscription, action), **TERMS)
    subscription.refresh_from_db()
    assert subscription.status == "active"


@pytest.mark.parametrize("username", ["olga", "boris"])
def test_a_command_neither_asks_nor_approves(acme: Tenant, username: str) -> None:
    plan, api = PlanFactory(tenant=acme), ApiFactory(tenant=acme)
    subscription = subscription_of(acme, "pending_approval")

    approve = ["approve", subscription.id, "--as", username]
    subscribe = ["subscribe", "acme", api.name, "--application", "web", "--plan", plan.slug, "--as", username]

    assert "proves no person" in refusal_of_command(*approve)
    assert "proves no person" in refusal_of_command(*subscribe)
    assert not log.events().exists()


@pytest.mark.parametrize("requester", ["stoa:operator:olga", "operator:olga", "operator:oidc-8a31", "system"])
def test_a_request_of_no_person_is_ended_only(alice: Caller, acme: Tenant, requester: str) -> None:
    """Stored by a command before the rule was turned on: its requester may be the approver."""
    subscription = SubscriptionFactory(tenant=acme, created_by=requester)
    path = f"/v1/tenants/acme/subscriptions/{subscription.id}"

    assert refusal_of(alice.post(f"{path}/approve", {})) == REQUIRED
    assert alice.delete(path).status_code == 204


def test_plans_are_written_by_those_who_decide() -> None:
    """A plan with automatic approval decides on later requests."""
    assert RIGHTS["plans:write"] <= RIGHTS["subscriptions:decide"]


def test_a_builder_writes_no_plan(dave: Caller, acme: Tenant) -> None:
    plan = PlanFactory(tenant=acme)
    automatic = {"approval": "automatic", "rate_limit": None}

    assert refusal_of(dave.post("/v1/tenants/acme/plans", {"slug": "x", "name": "X"} | automatic)) == MISSING_ROLE
    assert refusal_of(dave.patch(f"/v1/tenants/acme/plans/{plan.id}", automatic)) == MISSING_ROLE


@pytest.mark.parametrize(
    ("author", "status"), [("alice", "pending_approval"), ("", "pending_approval"), ("olga", "active")]
)
def test_an_automatic_plan_decides_unless_the_requester_wrote_it(
    alice: Caller, acme: Tenant, author: str, status: str
) -> None:
    known = log.subject(author) if author else ""
    plan = PlanFactory(tenant=acme, approval="automatic", terms_set_by=known)

    answered = alice.post("/v1/tenants/acme/subscriptions", request_under(plan)).json()

    assert answered["status"] == status
    assert bool(answered["api_key"]) == (status == "active")


def test_without_the_rule_an_automatic_plan_always_decides(alice: Caller, acme: Tenant, settings: Settings) -> None:
    settings.STOA_REQUIRE_SECOND_APPROVER = False
    plan = PlanFactory(tenant=acme, approval="automatic", terms_set_by=log.subject("alice"))

    assert alice.post("/v1/tenants/acme/subscriptions", request_under(plan)).json()["status"] == "active"


def test_the_log_tells_who_set_the_terms_of_older_plans(alice: Caller, realm: Grants, acme: Tenant) -> None:
    anna = administrator(realm, "anna")
    of_alice = alice.post("/v1/tenants/acme/plans", {"slug": "a", "name": "A"}).json()["id"]
    of_anna = alice.post("/v1/tenants/acme/plans", {"slug": "b", "name": "B"}).json()["id"]
    anna.patch(f"/v1/tenants/acme/plans/{of_anna}", {"approval": "automatic"})
    alice.patch(f"/v1/tenants/acme/plans/{of_anna}", {"name": "New"})
    of_nobody = PlanFactory(tenant=acme)
    noted = {of_alice: log.subject("alice"), of_anna: "anna", of_nobody.id: ""}
    assert dict(Plan.objects.values_list("id", "terms_set_by")) == noted
    Plan.objects.update(terms_set_by="")

    with connection.cursor() as cursor:
        cursor.execute(FIND_AUTHORS)

    assert dict(Plan.objects.values_list("id", "terms_set_by")) == noted


def test_the_default_plans_decide_for_everybody(alice: Caller) -> None:
    fresh = TenantFactory(name="acme", status="provisioning")

    body = {"api_id": ApiFactory(tenant=fresh).id, "plan": "free", "application": "web"}

    assert alice.post("/v1/tenants/acme/subscriptions", body).json()["status"] == "active"
    assert set(Plan.objects.values_list("terms_set_by", flat=True)) == {"stoa:system"}


@pytest.mark.django_db(transaction=True)
def test_what_is_looser_is_judged_under_the_lock(alice: Caller) -> None:
    """500 is tighter than the 1,000 that the request was sent for, and looser than the 5 that it finds."""
    subscription = SubscriptionFactory(
        tenant=TenantFactory(name="acme"), active=True, rate_limit=1_000, created_by=log.subject("alice")
    )
    path = f"/v1/tenants/acme/subscriptions/{subscription.id}"

    response = overtaken(lambda: alice.patch(path, {"rate_limit": 500}), subscription, rate_limit=5)

    assert refusal_of(response) == REQUIRED


def request_under(plan: Plan) -> dict[str, Any]:
    return {"api_id": ApiFactory(tenant=plan.tenant).id, "plan": plan.slug, "application": "web"}
