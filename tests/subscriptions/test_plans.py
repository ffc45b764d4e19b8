"""Plans: created, changed, withdrawn."""

from functools import partial
from typing import Any

import pytest

from subscriptions.models import Plan, Subscription
from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, NOT_FOUND, duplicate, invalid, refusal_of, refused_fields
from tests.conftest import Caller
from tests.factories import ApiFactory, PlanFactory, SubscriptionFactory, TenantFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db

PLANS = "/v1/tenants/acme/plans"
GOLD = {"slug": "gold", "name": "Gold"}


def path_of(plan: Plan) -> str:
    return f"/v1/tenants/{plan.tenant_id}/plans/{plan.id}"


def test_a_plan_is_manual_and_unlimited_unless_it_says_otherwise(alice: Caller, acme: Tenant) -> None:
    response = alice.post(PLANS, GOLD)

    assert response.status_code == 201
    plan = response.json()
    assert plan == GOLD | {
        "id": plan["id"],
        "tenant_id": acme.id,
        "rate_limit": None,
        "quota": None,
        "approval": "manual",
        "created_at": plan["created_at"],
        "updated_at": plan["updated_at"],
    }
    assert alice.get(response["Location"]).json() == plan


def test_the_creation_is_in_the_log(alice: Caller, acme: Tenant) -> None:
    body = GOLD | {"rate_limit": 10, "quota": 10**15, "approval": "automatic"}
    alice.post(PLANS, body)

    event = log.last_event()
    assert (event.type, event.actor, event.tenant_id) == ("plan.created", log.subject("alice"), acme.id)
    assert {name: event.data[name] for name in body} == body


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("slug", None, "null"),
        ("slug", "", "blank"),
        ("slug", 7, "invalid"),
        ("slug", "Gold", "invalid"),
        ("slug", "-gold", "invalid"),
        ("slug", "gold plan", "invalid"),
        ("slug", "x" * 64, "max_length"),
        ("name", None, "null"),
        ("name", "x" * 101, "max_length"),
        ("rate_limit", 0, "min_value"),
        ("rate_limit", "10", "invalid"),
        ("rate_limit", 2_000_000_001, "max_value"),
        ("quota", 0, "min_value"),
        ("quota", 10**15 + 1, "max_value"),
        ("quota", 1.5, "invalid"),
        ("approval", "never", "invalid_choice"),
        ("approval", None, "null"),
        ("tenant_id", "ten-0123456789abcdef", "read_only"),
        ("price", 10, "unknown_field"),
    ],
)
def test_a_wrong_field_is_named(alice: Caller, acme: Tenant, field: str, value: Any, code: str) -> None:
    assert refusal_of(alice.post(PLANS, GOLD | {field: value})) == invalid(field, code)


def test_all_missing_fields_are_named_at_once(alice: Caller, acme: Tenant) -> None:
    assert refused_fields(alice.post(PLANS, {})) == dict.fromkeys(GOLD, "required")


def test_a_slug_is_unique_in_its_tenant_while_the_plan_lives(
    alice: Caller, bob: Caller, acme: Tenant, globex: Tenant
) -> None:
    first = alice.post(PLANS, GOLD)

    assert refusal_of(alice.post(PLANS, GOLD)) == duplicate("slug")
    assert bob.post("/v1/tenants/globex/plans", GOLD).status_code == 201
    alice.delete(first["Location"])
    assert alice.post(PLANS, GOLD).status_code == 201


def test_a_change_leaves_the_approved_terms_alone(alice: Caller, acme: Tenant) -> None:
    subscription = SubscriptionFactory(tenant=acme, active=True)

    changed = alice.patch(path_of(subscription.plan), {"rate_limit": 1, "quota": None}).json()

    assert (changed["rate_limit"], changed["quota"]) == (1, None)
    assert log.last_event().changes == {"rate_limit": [1000, 1], "quota": [50000, None]}
    subscription.refresh_from_db()
    assert (subscription.rate_limit, subscription.quota) == (1000, 50000)


@pytest.mark.parametrize("body", [{}, {"rate_limit": 1000}])
def test_what_changes_nothing_writes_nothing(alice: Caller, acme: Tenant, body: dict[str, Any]) -> None:
    plan = PlanFactory(tenant=acme)
    before = alice.get(path_of(plan)).json()

    assert alice.patch(path_of(plan), body).json() == before
    assert not log.events().exists()


def test_a_slug_is_said_once(alice: Caller, acme: Tenant) -> None:
    plan = PlanFactory(tenant=acme)
    whole = alice.get(path_of(plan)).json()

    assert alice.patch(path_of(plan), whole | {"name": "New"}).json()["name"] == "New"
    assert refusal_of(alice.patch(path_of(plan), {"slug": "silver"})) == invalid("slug", "read_only")


def test_a_withdrawn_plan_is_gone(alice: Caller, acme: Tenant) -> None:
    plan = PlanFactory(tenant=acme)

    assert alice.delete(path_of(plan)).status_code == 204

    assert refusal_of(alice.get(path_of(plan))) == NOT_FOUND
    assert refusal_of(alice.delete(path_of(plan))) == NOT_FOUND
    assert log.types() == ["plan.deleted"]


def test_a_plan_in_use_stays(alice: Caller, acme: Tenant) -> None:
    plan = PlanFactory(tenant=acme)
    subscription = SubscriptionFactory(tenant=acme, plan=plan)

    assert refusal_of(alice.delete(path_of(plan))) == (409, "conflict", "", "in_use")
    alice.delete(f"/v1/tenants/acme/subscriptions/{subscription.id}")
    assert alice.delete(path_of(plan)).status_code == 204
    assert alice.get(f"/v1/tenants/acme/subscriptions/{subscription.id}").json()["plan"] == plan.slug


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("olga", [201, 200, 200, 200, 204]),
        ("alice", [201, 200, 200, 200, 204]),
        ("dave", [403, 403, 200, 200, 403]),
        ("victor", [403, 403, 200, 200, 403]),
    ],
)
def test_every_role_does_what_it_may(call_as: Any, acme: Tenant, name: str, statuses: list[int]) -> None:
    caller, plan = call_as(name), PlanFactory(tenant=acme)
    responses = [
        caller.post(PLANS, GOLD),
        caller.patch(path_of(plan), {"name": "x"}),
        caller.get(path_of(plan)),
        caller.get(PLANS),
        caller.delete(path_of(plan)),
    ]

    assert [response.status_code for response in responses] == statuses
    for response in responses:
        assert response.status_code != 403 or refusal_of(response) == MISSING_ROLE


def test_a_stranger_finds_nothing(bob: Caller, acme: Tenant, globex: Tenant) -> None:
    plan = PlanFactory(tenant=acme)

    for path in (path_of(plan), f"/v1/tenants/globex/plans/{plan.id}"):
        assert refusal_of(bob.get(path)) == NOT_FOUND
        assert refusal_of(bob.patch(path, {"name": "x"})) == NOT_FOUND
        assert refusal_of(bob.delete(path)) == NOT_FOUND


@pytest.mark.django_db(transaction=True)
def test_changes_at_once_do_not_undo_each_other(alice: Caller) -> None:
    plan = PlanFactory(tenant=TenantFactory(name="acme"))
    bodies = [{"name": "x"}, {"rate_limit": 1}, {"quota": 2}] * 3

    at_once(*[lambda body=body: alice.patch(path_of(plan), body) for body in bodies])

    plan.refresh_from_db()
    assert (plan.name, plan.rate_limit, plan.quota, plan.version) == ("x", 1, 2, 4)


@pytest.mark.django_db(transaction=True)
def test_nobody_subscribes_under_a_plan_that_is_being_withdrawn(alice: Caller) -> None:
    api = ApiFactory(tenant=TenantFactory(name="acme"))
    for number in range(8):
        plan = PlanFactory(tenant=api.tenant)
        body = {"api_id": api.id, "plan": plan.slug, "application": f"app-{number}"}

        subscribed, deleted = at_once(
            partial(alice.post, "/v1/tenants/acme/subscriptions", body),
            partial(alice.delete, path_of(plan)),
        )

        assert (subscribed.status_code, deleted.status_code) in ((201, 409), (400, 204))
        assert Subscription.objects.filter(plan=plan).exists() == (deleted.status_code == 409)
