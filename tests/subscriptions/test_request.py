"""Asking for access to an API."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from apikeys.models import ApiKey
from catalog.models import Api
from catalog.services.apis import update_api
from stoa_cp.crypto.encryption import decrypt
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Plan, Subscription
from subscriptions.services.requests import NewSubscription, request_subscription
from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, NOT_FOUND, duplicate, invalid, refusal_of, refused_fields
from tests.conftest import Caller
from tests.factories import ApiFactory, PlanFactory, TenantFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db

SUBSCRIPTIONS = "/v1/tenants/acme/subscriptions"
CALLBACK = "https://198.51.45.1/webhook"  # an address, so that no resolver is asked


@pytest.fixture
def api(acme: Tenant) -> Api:
    return ApiFactory(tenant=acme)


@pytest.fixture
def plan(acme: Tenant) -> Plan:
    return PlanFactory(tenant=acme, slug="standard")


@pytest.fixture
def body(api: Api, plan: Plan) -> dict[str, Any]:
    return {"api_id": api.id, "plan": "standard", "application": "mobile-app"}


def test_a_subscription_waits_for_its_approval(dave: Caller, acme: Tenant, api: Api, body: dict[str, Any]) -> None:
    response = dave.post(SUBSCRIPTIONS, body)

    assert response.status_code == 201
    subscription = response.json()
    assert subscription == {
        "id": subscription["id"],
        "tenant_id": acme.id,
        "api_id": api.id,
        "plan": "standard",
        "application": "mobile-app",
        "status": "pending_approval",
        "status_reason": "",
        "api_key": None,
        "callback_url": None,
        "rate_limit": 1000,
        "quota": 50000,
        "expires_at": None,
        "created_by": log.subject("dave"),
        "decided_by": None,
        "decided_at": None,
        "created_at": subscription["created_at"],
        "updated_at": subscription["updated_at"],
    }
    assert dave.get(response["Location"]).json() == subscription


def test_the_request_is_in_the_log(dave: Caller, acme: Tenant, body: dict[str, Any]) -> None:
    subscription = dave.post(SUBSCRIPTIONS, body).json()

    event = log.last_event()
    assert log.types() == ["subscription.created"]
    assert (event.actor, event.tenant_id, event.data["id"]) == (log.subject("dave"), acme.id, subscription["id"])
    assert event.request_id


def test_the_callbacks_secret_is_shown_once(dave: Caller, body: dict[str, Any]) -> None:
    created = dave.post(SUBSCRIPTIONS, body | {"callback_url": CALLBACK})

    subscription = created.json()
    secret = subscription.pop("callback_secret")
    assert secret.startswith("whsec_")
    assert created["Cache-Control"] == "no-store"
    assert dave.get(created["Location"]).json() == subscription
    stored = Subscription.objects.get().callback_secret
    assert secret.encode() not in bytes(stored)
    assert decrypt(stored) == secret
    assert secret not in log.whole_log()


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://198.51.45.1/webhook", "invalid"),
        ("https://127.0.0.1/webhook", "invalid"),
        ("https://169.254.169.254/latest", "invalid"),
        ("https://user:password@198.51.45.1/", "invalid"),
        ("myapp.com", "invalid"),
        (" https://198.51.45.1/", "invalid"),
        ("", "blank"),
        (7, "invalid"),
        ("https://198.51.45.1/" + "x" * 2048, "max_length"),
    ],
)
def test_a_callback_that_we_would_never_send_to_is_refused(
    dave: Caller, body: dict[str, Any], url: Any, code: str
) -> None:
    assert refusal_of(dave.post(SUBSCRIPTIONS, body | {"callback_url": url})) == invalid("callback_url", code)
    assert not Subscription.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("api_id", "api-0123456789abcdef", "invalid"),
        ("api_id", "payments", "invalid"),
        ("api_id", None, "null"),
        ("api_id", 7, "invalid"),
        ("plan", "platinum", "invalid"),
        ("plan", None, "null"),
        ("application", "", "blank"),
        ("application", None, "null"),
        ("application", "x" * 101, "max_length"),
        ("status", "active", "unknown_field"),
        ("rate_limit", 1_000_000, "unknown_field"),
    ],
)
def test_a_wrong_field_is_named(dave: Caller, body: dict[str, Any], field: str, value: Any, code: str) -> None:
    assert refusal_of(dave.post(SUBSCRIPTIONS, body | {field: value})) == invalid(field, code)
    assert not log.events().exists()


def test_all_missing_fields_are_named_at_once(dave: Caller, acme: Tenant) -> None:
    assert refused_fields(dave.post(SUBSCRIPTIONS, {})) == dict.fromkeys(["api_id", "plan", "application"], "required")


def test_an_unknown_plan_names_the_known_ones(dave: Caller, acme: Tenant, body: dict[str, Any]) -> None:
    PlanFactory(tenant=acme, slug="gold")

    response = dave.post(SUBSCRIPTIONS, body | {"plan": "platinum"})

    assert "standard, gold" in response.json()["error"]["details"][0]["message"]


def test_anothers_api_or_plan_does_not_exist_here(dave: Caller, globex: Tenant, body: dict[str, Any]) -> None:
    foreign = ApiFactory(tenant=globex)
    PlanFactory(tenant=globex, slug="secret")

    unknown = dave.post(SUBSCRIPTIONS, body | {"api_id": "api-0123456789abcdef"}).json()["error"]
    refused = dave.post(SUBSCRIPTIONS, body | {"api_id": foreign.id}).json()["error"]

    assert refused["details"] == unknown["details"]
    answer = dave.post(SUBSCRIPTIONS, body | {"plan": "secret"})
    assert refusal_of(answer) == invalid("plan")
    assert "there are: standard." in answer.json()["error"]["details"][0]["message"]


def test_a_deleted_api_takes_no_subscription(alice: Caller, api: Api, body: dict[str, Any]) -> None:
    alice.delete(f"/v1/tenants/acme/apis/{api.id}")

    assert refusal_of(alice.post(SUBSCRIPTIONS, body)) == invalid("api_id")


def test_a_second_live_subscription_of_an_application_is_a_conflict(dave: Caller, body: dict[str, Any]) -> None:
    dave.post(SUBSCRIPTIONS, body)

    assert refusal_of(dave.post(SUBSCRIPTIONS, body)) == duplicate("application")
    assert dave.post(SUBSCRIPTIONS, body | {"application": "web-app"}).status_code == 201


def test_an_application_may_ask_again_when_the_first_is_over(alice: Caller, body: dict[str, Any]) -> None:
    first = alice.post(SUBSCRIPTIONS, body)
    alice.post(f"{first['Location']}/reject")

    second = alice.post(SUBSCRIPTIONS, body)
    assert second.status_code == 201
    alice.delete(second["Location"])
    assert alice.post(SUBSCRIPTIONS, body).status_code == 201


def test_an_automatic_plan_answers_with_the_key(dave: Caller, plan: Plan, body: dict[str, Any]) -> None:
    Plan.objects.filter(pk=plan.pk).update(approval="automatic")

    created = dave.post(SUBSCRIPTIONS, body)

    subscription = created.json()
    assert (created.status_code, subscription["status"]) == (201, "active")
    assert (subscription["rate_limit"], subscription["quota"]) == (1000, 50000)
    assert (subscription["created_by"], subscription["decided_by"]) == (log.subject("dave"), "stoa:system")
    secret = subscription["api_key"]
    assert len(secret) == len("stoa_live_") + 46
    assert dave.get(created["Location"]).json()["api_key"] == secret[:14] + "…"
    assert log.types() == ["subscription.created", "subscription.approved", "apikey.created"]
    assert secret not in log.whole_log()


def test_a_tenant_that_is_not_set_up_yet_is_set_up_now(olga: Caller) -> None:
    api = ApiFactory(tenant=TenantFactory(name="acme", status="provisioning"))
    body = {"api_id": api.id, "plan": "free", "application": "app"}

    assert olga.post(SUBSCRIPTIONS, body).json()["status"] == "active"
    assert olga.get("/v1/tenants/acme").json()["status"] == "active"


@pytest.mark.parametrize(("name", "status"), [("alice", 201), ("dave", 201), ("olga", 201), ("victor", 403)])
def test_builders_subscribe_and_readers_do_not(
    call_as: Callable[[str], Caller], body: dict[str, Any], name: str, status: int
) -> None:
    response = call_as(name).post(SUBSCRIPTIONS, body)

    assert response.status_code == status
    if status == 403:
        assert refusal_of(response) == MISSING_ROLE


def test_a_stranger_finds_nothing(bob: Caller, globex: Tenant, body: dict[str, Any]) -> None:
    assert refusal_of(bob.post(SUBSCRIPTIONS, body)) == NOT_FOUND
    assert refusal_of(bob.post("/v1/tenants/globex/subscriptions", body)) == invalid("api_id")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("approval", ["manual", "automatic"])
def test_of_twenty_identical_requests_at_once_one_succeeds(dave: Caller, approval: str) -> None:
    plan = PlanFactory(tenant=TenantFactory(name="acme"), approval=approval)
    body = {"api_id": ApiFactory(tenant=plan.tenant).id, "plan": plan.slug, "application": "app"}

    responses = at_once(*[lambda: dave.post(SUBSCRIPTIONS, body)] * 20)

    assert sorted(response.status_code for response in responses) == [201] + [409] * 19
    assert Subscription.objects.count() == 1
    assert ApiKey.objects.count() == (1 if approval == "automatic" else 0)


@pytest.mark.django_db(transaction=True)
def test_a_request_that_sets_the_tenant_up_and_an_update_do_not_wait_for_each_other() -> None:
    for _round in range(8):
        api = ApiFactory(tenant=TenantFactory(status="provisioning"))
        body = NewSubscription(api_id=api.id, plan="free", application="app")

        at_once(
            partial(request_subscription, api.tenant, body, by=SYSTEM),
            partial(update_api, api, {"description": "x"}, by=SYSTEM),
        )

    assert log.types().count("api.updated") == log.types().count("subscription.created") == 8
