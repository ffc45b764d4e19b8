"""Deleting an API, and revoking the subscriptions to it."""

from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.models import Api
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Subscription
from subscriptions.services.subscriptions import delete_api_and_subscriptions, snapshot, suspend_subscription
from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, NOT_FOUND, invalid, refusal_of
from tests.conftest import Caller
from tests.factories import ApiFactory, PlanFactory, SubscriptionFactory, TenantFactory
from tests.races import at_once, outcome_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(acme: Tenant) -> Api:
    return ApiFactory(tenant=acme)


def path_of(api: Api) -> str:
    return f"/v1/tenants/{api.tenant_id}/apis/{api.id}"


def test_a_deleted_api_is_gone(alice: Caller, api: Api) -> None:
    response = alice.delete(path_of(api))

    assert (response.status_code, response.content) == (204, b"")
    assert refusal_of(alice.get(path_of(api))) == NOT_FOUND
    assert refusal_of(alice.delete(path_of(api))) == NOT_FOUND
    assert alice.get("/v1/tenants/acme/apis").json()["items"] == []


def test_the_row_stays_for_the_audit(alice: Caller, api: Api) -> None:
    alice.delete(path_of(api))

    api.refresh_from_db()
    assert api.deleted_at is not None
    event = log.last_event()
    assert (event.type, event.actor, event.data["id"]) == ("api.deleted", log.subject("alice"), api.id)


def test_an_api_with_live_subscriptions_stays(alice: Caller, api: Api) -> None:
    for terms in ({}, {"active": True}, {"active": True, "status": "suspended"}):
        SubscriptionFactory(tenant=api.tenant, api=api, **terms)

    response = alice.delete(path_of(api))

    assert refusal_of(response) == (409, "conflict", "", "in_use")
    assert "3" in response.json()["error"]["message"]
    assert alice.get(path_of(api)).status_code == 200
    assert not log.events().exists()


def test_subscriptions_that_are_over_do_not_hold_it(alice: Caller, api: Api) -> None:
    for status in ("rejected", "revoked", "expired"):
        SubscriptionFactory(tenant=api.tenant, api=api, active=True, status=status)

    assert alice.delete(path_of(api)).status_code == 204
    assert log.types() == ["api.deleted"]


def test_a_cascade_revokes_the_live_ones(alice: Caller, api: Api) -> None:
    pending = SubscriptionFactory(tenant=api.tenant, api=api)
    active = SubscriptionFactory(tenant=api.tenant, api=api, active=True)
    rejected = SubscriptionFactory(tenant=api.tenant, api=api, active=True, status="rejected")
    other = SubscriptionFactory(tenant=api.tenant, active=True)

    assert alice.delete(f"{path_of(api)}?cascade=true").status_code == 204

    statuses = dict(Subscription.objects.values_list("id", "status"))
    assert statuses == {pending.id: "revoked", active.id: "revoked", rejected.id: "rejected", other.id: "active"}
    assert log.types() == ["subscription.revoked", "subscription.revoked", "api.deleted"]


def test_what_a_cascade_revokes_is_in_its_event_as_a_read_shows_it(alice: Caller, api: Api) -> None:
    active = SubscriptionFactory(tenant=api.tenant, api=api, active=True, version=4)
    alice.delete(f"{path_of(api)}?cascade=true")
    version = active.version
    active.refresh_from_db()
    assert active.version == version + 1
    assert log.events().get(type="subscription.revoked").data == snapshot(active)


def test_a_cascade_takes_as_many_statements_for_a_hundred_as_for_two(api: Api) -> None:
    """One by one, 1,000 subscriptions took more than a minute, in which the tenant could not be changed."""
    taken = []
    for subscriptions in (2, 100):
        used = ApiFactory(tenant=api.tenant)
        plan = PlanFactory(tenant=api.tenant)
        SubscriptionFactory.create_batch(subscriptions, tenant=api.tenant, api=used, plan=plan, active=True)
        with CaptureQueriesContext(connection) as queries:
            delete_api_and_subscriptions(used, cascade=True, by=SYSTEM)
        taken.append(len(queries))
    assert taken[0] == taken[1]


@pytest.mark.parametrize("value", ["yes", "1", "", "TRUE"])
def test_a_cascade_is_said_clearly(alice: Caller, api: Api, value: str) -> None:
    assert refusal_of(alice.delete(f"{path_of(api)}?cascade={value}")) == invalid("cascade")


@pytest.mark.parametrize("name", ["dave", "victor"])
def test_only_owners_delete(call_as: Any, api: Api, name: str) -> None:
    assert refusal_of(call_as(name).delete(path_of(api))) == MISSING_ROLE


def test_a_stranger_finds_nothing(bob: Caller, globex: Tenant, api: Api) -> None:
    assert refusal_of(bob.delete(path_of(api))) == NOT_FOUND
    assert refusal_of(bob.delete(f"/v1/tenants/globex/apis/{api.id}")) == NOT_FOUND


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("cascade", ["true", "false"])
def test_no_subscription_survives_an_api_that_is_being_deleted(alice: Caller, cascade: str) -> None:
    plan = PlanFactory(tenant=TenantFactory(name="acme"))
    for number in range(8):
        api = ApiFactory(tenant=plan.tenant)
        body = {"api_id": api.id, "plan": plan.slug, "application": f"app-{number}"}

        subscribed, deleted = at_once(
            partial(alice.post, "/v1/tenants/acme/subscriptions", body),
            partial(alice.delete, f"{path_of(api)}?cascade={cascade}"),
        )

        assert (subscribed.status_code, deleted.status_code) in ((201, 204), (201, 409), (400, 204))
        api.refresh_from_db()
        live = Subscription.objects.live().filter(api=api).count()
        assert live == (0 if api.deleted_at else 1)


@pytest.mark.django_db(transaction=True)
def test_a_cascade_and_a_decision_at_once_do_not_wait_for_each_other() -> None:
    for _round in range(5):
        api = ApiFactory(tenant=TenantFactory())
        subscriptions = [SubscriptionFactory(tenant=api.tenant, api=api, active=True) for _number in range(4)]
        last = max(subscriptions, key=lambda subscription: subscription.id)

        at_once(
            outcome_of(partial(delete_api_and_subscriptions, api, cascade=True, by=SYSTEM)),
            outcome_of(partial(suspend_subscription, last, "", by=SYSTEM)),
        )

        assert set(Subscription.objects.filter(api=api).values_list("status", flat=True)) == {"revoked"}
