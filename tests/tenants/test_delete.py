"""Deleting a tenant, with everything in it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from apikeys.models import ApiKey
from catalog.models import Api
from subscriptions.models import Plan, Subscription
from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, NOT_FOUND, refusal_of
from tests.conftest import Caller
from tests.factories import ApiFactory, PlanFactory, SubscriptionFactory, TenantFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db

API = {"name": "payment-api", "path": "/payments", "upstream_url": "https://upstream.example.com"}


def test_a_deleted_tenant_is_gone(olga: Caller, acme: Tenant) -> None:
    response = olga.delete("/v1/tenants/acme")

    assert (response.status_code, response.content) == (204, b"")
    assert refusal_of(olga.get(f"/v1/tenants/{acme.id}")) == NOT_FOUND
    assert refusal_of(olga.delete("/v1/tenants/acme")) == NOT_FOUND


def test_everything_in_it_is_gone_at_once(alice: Caller, olga: Caller, acme: Tenant) -> None:
    subscription = SubscriptionFactory(tenant=acme, active=True)
    inside = [f"apis/{subscription.api_id}", f"subscriptions/{subscription.id}", "plans", "apikeys"]

    olga.delete("/v1/tenants/acme")

    for path in inside:
        assert refusal_of(alice.get(f"/v1/tenants/{acme.id}/{path}")) == NOT_FOUND
        assert refusal_of(olga.get(f"/v1/tenants/{acme.id}/{path}")) == NOT_FOUND


def test_one_event_tells_it_all(olga: Caller, acme: Tenant) -> None:
    SubscriptionFactory(tenant=acme, active=True)

    olga.delete("/v1/tenants/acme")

    event = log.last_event()
    assert log.types() == ["tenant.deleted"]
    assert (event.actor, event.data["id"], event.data["status"]) == (log.subject("olga"), acme.id, "deleted")


def test_the_row_stays_for_the_audit(olga: Caller, acme: Tenant) -> None:
    olga.delete("/v1/tenants/acme")

    acme.refresh_from_db()
    assert acme.deleted_at is not None


def test_a_suspended_tenant_can_be_deleted(olga: Caller) -> None:
    TenantFactory(name="acme", status="suspended")

    assert olga.delete("/v1/tenants/acme").status_code == 204


@pytest.mark.parametrize("name", ["alice", "dave", "victor"])
def test_only_the_platform_deletes(call_as: Any, acme: Tenant, name: str) -> None:
    assert refusal_of(call_as(name).delete("/v1/tenants/acme")) == MISSING_ROLE


def test_a_stranger_finds_nothing(bob: Caller, acme: Tenant, globex: Tenant) -> None:
    assert refusal_of(bob.delete(f"/v1/tenants/{acme.id}")) == NOT_FOUND


def register_api(olga: Caller, tenant: Tenant) -> Callable[[], Any]:
    return lambda: olga.post(f"/v1/tenants/{tenant.id}/apis", API)


def create_plan(olga: Caller, tenant: Tenant) -> Callable[[], Any]:
    return lambda: olga.post(f"/v1/tenants/{tenant.id}/plans", {"slug": "gold", "name": "Gold"})


def request_subscription(olga: Caller, tenant: Tenant) -> Callable[[], Any]:
    body = {"api_id": ApiFactory(tenant=tenant).id, "plan": PlanFactory(tenant=tenant).slug, "application": "app"}
    return lambda: olga.post(f"/v1/tenants/{tenant.id}/subscriptions", body)


def approve_subscription(olga: Caller, tenant: Tenant) -> Callable[[], Any]:
    subscription = SubscriptionFactory(tenant=tenant)
    return lambda: olga.post(f"/v1/tenants/{tenant.id}/subscriptions/{subscription.id}/approve")


def issue_key(olga: Caller, tenant: Tenant) -> Callable[[], Any]:
    body = {"subscription_id": SubscriptionFactory(tenant=tenant, active=True).id, "name": "key"}
    return lambda: olga.post(f"/v1/tenants/{tenant.id}/apikeys", body)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("creation", "model"),
    [
        (register_api, Api),
        (create_plan, Plan),
        (request_subscription, Subscription),
        (approve_subscription, ApiKey),
        (issue_key, ApiKey),
    ],
)
def test_nothing_is_created_in_a_tenant_that_is_being_deleted(olga: Caller, creation: Any, model: Any) -> None:
    for _round in range(8):
        tenant = TenantFactory()
        create = creation(olga, tenant)
        before = model.objects.filter(tenant=tenant).count()

        created, deleted = at_once(create, partial(olga.delete, f"/v1/tenants/{tenant.id}"))

        assert deleted.status_code == 204
        assert created.status_code in (200, 201, 404)
        born = model.objects.filter(tenant=tenant).count() - before
        assert born == (0 if created.status_code == 404 else 1)
        assert log.types()[-1] == "tenant.deleted"
