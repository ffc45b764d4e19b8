"""Setting up a new tenant: its plans, then its opening."""

from datetime import timedelta
from functools import partial

import pytest
from django.db.models.functions import Now

from stoa_cp.celery import BEAT_SCHEDULE
from subscriptions.models import Plan
from subscriptions.services.provisioning import set_up_tenant
from tenants.models import Tenant
from tenants.tasks import set_up_tenant as set_up_task
from tenants.tasks import set_up_waiting_tenants
from tests import log
from tests.conftest import Caller
from tests.factories import PlanFactory, TenantFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db


def test_a_tenant_begins_with_three_plans(olga: Caller) -> None:
    tenant = TenantFactory(name="acme", status="provisioning")

    set_up_task(tenant.id)

    plans = olga.get("/v1/tenants/acme/plans").json()["items"]
    assert {plan["slug"]: (plan["rate_limit"], plan["quota"], plan["approval"]) for plan in plans} == {
        "free": (100, 10_000, "automatic"),
        "standard": (1_000, 50_000, "manual"),
        "premium": (10_000, 1_000_000, "manual"),
    }


def test_then_it_is_active(olga: Caller) -> None:
    tenant = TenantFactory(name="acme", status="provisioning")

    set_up_task(tenant.id)

    assert olga.get("/v1/tenants/acme").json()["status"] == "active"
    assert log.types() == ["plan.created"] * 3 + ["tenant.activated"]
    assert {event.actor for event in log.events()} == {"stoa:system"}


def test_the_second_time_nothing_happens() -> None:
    tenant = TenantFactory(status="provisioning")

    set_up_tenant(tenant)
    set_up_tenant(tenant)

    assert log.events().count() == 4


@pytest.mark.parametrize("status", ["active", "suspended"])
def test_a_tenant_that_is_open_is_left_alone(status: str) -> None:
    set_up_tenant(TenantFactory(status=status))

    assert not Plan.objects.exists()


def test_a_tenant_that_is_gone_is_left_alone(olga: Caller) -> None:
    tenant = TenantFactory(name="acme", status="provisioning")
    olga.delete("/v1/tenants/acme")

    set_up_tenant(tenant)
    set_up_task("ten-0123456789abcdef")

    assert not Plan.objects.exists()


def test_a_plan_that_the_tenant_made_meanwhile_stays_as_it_is() -> None:
    tenant = TenantFactory(status="provisioning")
    own = PlanFactory(tenant=tenant, slug="standard", rate_limit=7)

    set_up_tenant(tenant)

    tenant.refresh_from_db()
    assert tenant.status == "active"
    assert Plan.objects.get(tenant=tenant, slug="standard").id == own.id
    assert Plan.objects.filter(tenant=tenant).count() == 3


def test_apis_can_be_registered_before(olga: Caller) -> None:
    TenantFactory(name="acme", status="provisioning")
    body = {"name": "payment-api", "path": "/payments", "upstream_url": "https://upstream.example.com"}

    assert olga.post("/v1/tenants/acme/apis", body).status_code == 201


def test_the_sweep_finds_those_whose_task_was_lost() -> None:
    first, second, new = [TenantFactory(status="provisioning") for _tenant in range(3)]
    Tenant.objects.exclude(pk=new.pk).update(created_at=Now() - timedelta(seconds=3))

    set_up_waiting_tenants()

    for tenant in (first, second):
        tenant.refresh_from_db()
        assert tenant.status == "active"
    new.refresh_from_db()
    assert new.status == "provisioning"  # its own task knows the request that made it


def test_the_sweep_is_on_the_schedule() -> None:
    assert set_up_waiting_tenants.name in {entry["task"] for entry in BEAT_SCHEDULE.values()}


@pytest.mark.django_db(transaction=True)
def test_of_two_workers_at_once_one_sets_up() -> None:
    for _round in range(3):
        tenant = TenantFactory(status="provisioning")

        at_once(*[partial(set_up_tenant, tenant)] * 4)

        assert Plan.objects.filter(tenant=tenant).count() == 3
    assert log.types().count("tenant.activated") == 3
