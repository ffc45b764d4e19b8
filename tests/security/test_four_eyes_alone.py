"""What one person may try alone, under the rule of the second approver, to get more access than another has granted."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from apikeys.models import TEST_METER_PREFIX, Meter
from stoa_cp.devserver.grants import Grants
from subscriptions.models import Plan, Subscription
from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, duplicate, refusal_of
from tests.conftest import Caller
from tests.factories import ApiFactory, PlanFactory, SubscriptionFactory, TenantFactory
from tests.kernel.console.pages import answer, dialog_of, said
from tests.races import at_once
from tests.security.second_approver import REQUIRED, administrator, console_of

pytestmark = pytest.mark.django_db

PLANS, SUBSCRIPTIONS = "/v1/tenants/acme/plans", "/v1/tenants/acme/subscriptions"
LOOSE = {"rate_limit": None, "quota": None, "approval": "automatic"}


@pytest.fixture(autouse=True)
def _rule(settings: Settings) -> None:
    settings.STOA_REQUIRE_SECOND_APPROVER = True


@pytest.fixture
def anna(realm: Grants) -> Caller:
    """The second administrator of acme."""
    return administrator(realm, "anna")


@pytest.fixture
def plan(acme: Tenant) -> Plan:
    """A plan of the platform's that approves by itself, with limits."""
    return PlanFactory(tenant=acme, approval="automatic", terms_set_by="stoa:system")


def subscribe(caller: Caller, plan: Plan, slug: str = "", application: str = "web", **headers: str) -> dict[str, Any]:
    api = plan.tenant.apis.first() or ApiFactory(tenant=plan.tenant)
    body = {"api_id": api.id, "plan": slug or plan.slug, "application": application}
    response = caller.post(SUBSCRIPTIONS, body, **headers)
    assert response.status_code == 201, response.content
    return dict(response.json())


@pytest.fixture
def granted(alice: Caller, anna: Caller, acme: Tenant) -> str:
    """The path of alice's subscription, which anna has approved with 1,000 an hour."""
    path = f"{SUBSCRIPTIONS}/{subscribe(alice, PlanFactory(tenant=acme))['id']}"
    assert anna.post(f"{path}/approve", {"expires_at": "2100-01-01T00:00:00Z"}).status_code == 200
    return path


def test_she_loosens_the_plan_and_restores_it_afterwards(alice: Caller, plan: Plan) -> None:
    alice.patch(f"{PLANS}/{plan.id}", LOOSE)
    hers = subscribe(alice, plan)
    alice.patch(f"{PLANS}/{plan.id}", {"rate_limit": 1_000, "quota": 50_000, "approval": "manual"})

    assert (hers["status"], hers["api_key"]) == ("pending_approval", None)
    assert refusal_of(alice.post(f"{SUBSCRIPTIONS}/{hers['id']}/approve", {})) == REQUIRED


def test_she_deletes_the_plan_and_creates_it_again(alice: Caller, plan: Plan) -> None:
    alice.delete(f"{PLANS}/{plan.id}")
    alice.post(PLANS, {"slug": plan.slug, "name": "Free"} | LOOSE)

    assert subscribe(alice, plan)["status"] == "pending_approval"


def test_a_colleague_corrects_the_name_of_her_plan(alice: Caller, anna: Caller, plan: Plan) -> None:
    alice.patch(f"{PLANS}/{plan.id}", LOOSE)
    anna.patch(f"{PLANS}/{plan.id}", {"name": "Unlimited"})

    assert subscribe(alice, plan)["status"] == "pending_approval"


def test_she_writes_the_plan_under_a_plan_key_that_is_replayed(alice: Caller, plan: Plan) -> None:
    """A replay shows the first answer; it carries nothing out under other circumstances."""
    first = subscribe(alice, plan, idempotency_key="one")
    alice.delete(f"{SUBSCRIPTIONS}/{first['id']}")
    alice.patch(f"{PLANS}/{plan.id}", LOOSE)

    assert subscribe(alice, plan, idempotency_key="one") == first
    assert Subscription.objects.get().status == "revoked"


def test_a_refused_approval_is_not_replayed_for_a_colleague(alice: Caller, anna: Caller, acme: Tenant) -> None:
    path = f"{SUBSCRIPTIONS}/{subscribe(alice, PlanFactory(tenant=acme))['id']}"
    key = {"idempotency_key": "one"}

    assert refusal_of(alice.post(f"{path}/approve", {}, **key)) == REQUIRED
    assert anna.post(f"{path}/approve", {}, **key).status_code == 200
    assert refusal_of(alice.post(f"{path}/approve", {"quota": None}, **key)) == (409, "conflict", "", "wrong_state")


def test_her_dry_run_shows_no_key_and_leaves_nothing(alice: Caller, plan: Plan) -> None:
    alice.patch(f"{PLANS}/{plan.id}", LOOSE)
    body = {"api_id": ApiFactory(tenant=plan.tenant).id, "plan": plan.slug, "application": "web"}

    shown = alice.post(f"{SUBSCRIPTIONS}?dry_run=true", body).json()

    assert (shown["status"], shown["api_key"]) == ("pending_approval", None)
    assert not Subscription.objects.exists()


def test_she_asks_again_after_ending_what_was_granted(alice: Caller, granted: str, acme: Tenant) -> None:
    of_hers = Subscription.objects.get()
    taken = {"api_id": of_hers.api_id, "plan": of_hers.plan.slug, "application": "web"}
    assert refusal_of(alice.post(SUBSCRIPTIONS, taken)) == duplicate("application")
    alice.delete(granted)

    assert alice.post(SUBSCRIPTIONS, taken).json()["status"] == "pending_approval"


def test_she_suspends_and_resumes(alice: Caller, granted: str) -> None:
    assert alice.post(f"{granted}/suspend", {}).status_code == 200
    assert refusal_of(alice.post(f"{granted}/resume")) == REQUIRED


@pytest.mark.parametrize(
    ("tighter", "as_before"),
    [
        ({"rate_limit": 1}, {"rate_limit": 1_000}),
        ({"quota": 1}, {"quota": 50_000}),
        ({"expires_at": "2099-01-01T00:00:00Z"}, {"expires_at": "2100-01-01T00:00:00Z"}),
    ],
)
def test_she_tightens_and_takes_it_back(
    alice: Caller, granted: str, tighter: dict[str, Any], as_before: dict[str, Any]
) -> None:
    assert alice.patch(granted, tighter).status_code == 200
    assert refusal_of(alice.patch(granted, as_before)) == REQUIRED


def test_she_deletes_the_api_and_registers_it_again(alice: Caller, granted: str, acme: Tenant) -> None:
    api = acme.apis.get()
    alice.delete(f"/v1/tenants/acme/apis/{api.id}?cascade=true")
    again = {"name": api.name, "upstream_url": "https://upstream.example.com", "path": api.path}
    assert alice.post("/v1/tenants/acme/apis", again).status_code == 201

    assert alice.get(granted).json()["status"] == "revoked"
    assert refusal_of(alice.post(f"{granted}/resume")) == (409, "conflict", "", "wrong_state")


def test_she_uses_a_second_token_or_the_console(realm: Grants, granted: str) -> None:
    alice = log.subject("alice")
    subscription = Subscription.objects.get()
    Subscription.objects.update(status="suspended")

    assert refusal_of(administrator(realm, alice).post(f"{granted}/resume")) == REQUIRED
    answer(console_of(alice), dialog_of(subscription, "resume"))
    assert Subscription.objects.get().status == "suspended"


@pytest.mark.parametrize("prefix", ["sub-", TEST_METER_PREFIX])
def test_she_resets_the_meter_of_her_own_subscription(acme: Tenant, prefix: str) -> None:
    olga = log.subject("olga")
    hers = SubscriptionFactory(tenant=acme, active=True, created_by=olga)
    meter = Meter.objects.create(
        subject=hers.id.replace("sub-", prefix),
        tenant=acme,
        month_calls=50_000,
        hour=timezone.now(),
        month=timezone.now(),
    )

    refused = answer(console_of(olga), dialog_of(meter, "reset"))
    meter.refresh_from_db()
    assert (meter.month_calls, len(said(refused))) == (50_000, 1)
    answer(console_of("boris"), dialog_of(meter, "reset"))
    meter.refresh_from_db()
    assert meter.month_calls == 0


@pytest.mark.parametrize("spelt", ["acme", "id"])
def test_she_spells_the_tenant_otherwise(alice: Caller, granted: str, acme: Tenant, spelt: str) -> None:
    path = granted.replace("acme", acme.id) if spelt == "id" else granted

    assert refusal_of(alice.patch(path, {"quota": None})) == REQUIRED


def test_a_builder_gets_no_more_than_the_plan(dave: Caller, alice: Caller, plan: Plan, acme: Tenant) -> None:
    """What dave tries: other plans, terms in the request, terms afterwards, the end of his own subscription."""
    manual = PlanFactory(tenant=acme)
    path = f"{SUBSCRIPTIONS}/{subscribe(dave, manual)['id']}"
    attempts: list[Callable[[], Any]] = [
        partial(dave.post, PLANS, {"slug": "x", "name": "X"} | LOOSE),
        partial(dave.patch, f"{PLANS}/{plan.id}", LOOSE),
        partial(dave.delete, f"{PLANS}/{plan.id}"),
        partial(dave.patch, path, {"rate_limit": None}),
        partial(dave.patch, path, {"expires_at": "2100-01-01T00:00:00Z"}),
        partial(dave.post, f"{path}/approve", {}),
        partial(dave.delete, path),
    ]

    assert {refusal_of(attempt()) for attempt in attempts} == {MISSING_ROLE}
    with_terms = {"api_id": acme.apis.get().id, "plan": plan.slug, "application": "b", "rate_limit": None}
    assert refusal_of(dave.post(SUBSCRIPTIONS, with_terms)) == (400, "validation_error", "rate_limit", "unknown_field")
    assert refusal_of(dave.patch(path, {"plan": "premium"})) == (400, "validation_error", "plan", "read_only")
    assert refusal_of(dave.patch(path, {"created_by": "x"})) == (400, "validation_error", "created_by", "read_only")
    assert subscribe(dave, plan, application="c")["rate_limit"] == 1_000


@pytest.mark.django_db(transaction=True)
def test_she_changes_the_plan_and_subscribes_at_once(alice: Caller) -> None:
    tenant = TenantFactory(name="acme")
    ApiFactory(tenant=tenant)
    for number in range(8):
        plan = PlanFactory(tenant=tenant, approval="automatic", terms_set_by="stoa:system")

        _changed, hers = at_once(
            partial(alice.patch, f"{PLANS}/{plan.id}", LOOSE),
            partial(subscribe, alice, plan, application=f"app-{number}"),
        )

        assert (hers["status"], hers["rate_limit"]) in [("active", 1_000), ("pending_approval", None)]
