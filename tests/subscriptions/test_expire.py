"""The expiry of subscriptions, by the database's clock."""

from datetime import timedelta

import pytest
from django.utils import timezone

from stoa_cp.celery import BEAT_SCHEDULE
from subscriptions.models import Subscription
from subscriptions.services.subscriptions import expire_next_subscription
from subscriptions.tasks import expire_due
from tenants.models import Tenant
from tests import log
from tests.answers import WRONG_STATE, refusal_of
from tests.conftest import Caller
from tests.factories import ApiKeyFactory, SubscriptionFactory, TenantFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db


def age(subscription: Subscription) -> Subscription:
    """Let the subscription have begun two days ago and ended yesterday."""
    now = timezone.now()
    dates = {"created_at": now - timedelta(days=2), "expires_at": now - timedelta(days=1)}
    Subscription.objects.filter(pk=subscription.pk).update(**dates)
    return subscription


def test_a_subscription_ends_when_its_time_is_over(victor: Caller, acme: Tenant) -> None:
    ended = age(SubscriptionFactory(tenant=acme, active=True))
    going_on = SubscriptionFactory(tenant=acme, active=True, expires_at=timezone.now() + timedelta(days=1))

    expire_due()

    statuses = dict(Subscription.objects.values_list("id", "status"))
    assert statuses == {ended.id: "expired", going_on.id: "active"}
    event = log.last_event()
    assert log.types() == ["subscription.expired"]
    assert (event.actor, event.data["id"], event.tenant_id) == ("stoa:system", ended.id, acme.id)


def test_all_that_are_due_end_in_one_run(acme: Tenant) -> None:
    for _number in range(3):
        age(SubscriptionFactory(tenant=acme, active=True))

    expire_due()

    assert set(Subscription.objects.values_list("status", flat=True)) == {"expired"}


@pytest.mark.parametrize("status", ["pending_approval", "suspended", "revoked", "rejected"])
def test_only_active_ones_expire(acme: Tenant, status: str) -> None:
    age(SubscriptionFactory(tenant=acme, active=True, status=status))

    expire_due()

    assert not log.events().exists()


def test_a_deleted_tenants_log_has_ended(olga: Caller, acme: Tenant) -> None:
    age(SubscriptionFactory(tenant=acme, active=True))
    olga.delete("/v1/tenants/acme")

    expire_due()

    assert log.types() == ["tenant.deleted"]


def test_its_keys_end_with_it_even_before_the_sweep(alice: Caller, acme: Tenant) -> None:
    key = ApiKeyFactory(subscription__tenant=acme)
    age(key.subscription)
    path = f"/v1/tenants/acme/apikeys/{key.id}"

    assert alice.get(path).json()["status"] == "expired"
    expire_due()
    assert alice.get(path).json()["status"] == "expired"
    assert refusal_of(alice.post(f"{path}/rotate")) == WRONG_STATE
    assert alice.get(f"/v1/tenants/acme/subscriptions/{key.subscription_id}").json()["api_key"] is None


def test_the_sweep_is_on_the_schedule() -> None:
    assert expire_due.name in {entry["task"] for entry in BEAT_SCHEDULE.values()}


@pytest.mark.django_db(transaction=True)
def test_workers_share_the_work() -> None:
    for _number in range(2):
        tenant = TenantFactory()
        for _other in range(4):
            age(SubscriptionFactory(tenant=tenant, active=True))

    at_once(*[expire_due] * 4)

    assert log.types() == ["subscription.expired"] * 8
    assert expire_next_subscription() is None
