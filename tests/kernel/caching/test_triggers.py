"""Whatever the caches keep tells them when it changes, whoever changes it, and says nothing otherwise."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from apikeys.models import ApiKey, KeySecret, Meter
from apikeys.services.keys import NewKey, issue_key
from catalog.models import Api, Gateway
from catalog.services.gateways import create_gateway
from stoa_cp.crypto.credentials import new_credential
from stoa_cp.domain.actors import SYSTEM
from subscriptions.models import Plan, Subscription
from tenants.models import Tenant
from tests.factories import ApiFactory, SubscriptionFactory
from tests.listening import announced

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def key() -> ApiKey:
    subscription = SubscriptionFactory(active=True)
    key = issue_key(subscription, NewKey(), by=SYSTEM).resource
    Meter.objects.create(subject=subscription.id, tenant=subscription.tenant, hour=Now(), month=Now())
    create_gateway("edge-1", by=SYSTEM)
    return key


OF_ITS_TENANT: dict[str, Callable[[], object]] = {
    "a tenant": lambda: Tenant.objects.update(status="suspended"),
    "an API": lambda: Api.objects.update(status="inactive"),
    "a new API": lambda: ApiFactory(tenant=Tenant.objects.get(), path="/longer"),
    "a subscription": lambda: Subscription.objects.update(rate_limit=1),
    "a plan": lambda: Plan.objects.update(slug="another"),
    "a key": lambda: ApiKey.objects.update(revoked_at=Now()),
    "a meter that is reset": lambda: Meter.objects.update(reset_at=Now()),
    "a meter that calls in": lambda: Meter.objects.update(leases="recalled"),
}


@pytest.mark.parametrize("what", OF_ITS_TENANT)
def test_a_change_names_the_tenant(key: ApiKey, what: str) -> None:
    assert announced(OF_ITS_TENANT[what]) == {key.tenant_id}


@pytest.mark.parametrize(
    "change",
    [
        lambda: KeySecret.objects.update(valid_until=Now()),
        lambda: KeySecret.objects.update(digest=b"another"),
        lambda: KeySecret.objects.all().delete(),
    ],
)
def test_a_secret_names_its_key(key: ApiKey, change: Callable[[], object]) -> None:
    assert announced(change) == {key.id}


@pytest.mark.parametrize(
    "change", [lambda: Gateway.objects.update(token_digest=b"1"), lambda: Gateway.objects.update(deleted_at=Now())]
)
def test_a_gateway_names_itself(key: ApiKey, change: Callable[[], object]) -> None:
    assert announced(change) == {Gateway.objects.get().id}


@pytest.mark.parametrize(
    "change",
    [
        lambda: KeySecret.objects.update(last_used_at=Now()),
        lambda: Gateway.objects.update(last_seen_at=Now()),
        lambda: Meter.objects.update(hour_calls=F("hour_calls") + 1, leases="out"),
        lambda: KeySecret.objects.create(
            key=ApiKey.objects.get(), digest=new_credential("stoa_live_").encode()[:32], valid_until=Now()
        ),
    ],
    ids=["a key is used", "a gateway is seen", "a call is counted", "a secret is new"],
)
def test_what_changes_no_decision_is_no_news(key: ApiKey, change: Callable[[], object]) -> None:
    assert announced(change) == set()


@pytest.mark.parametrize(
    "table",
    [
        "tenants_tenant",
        "catalog_api",
        "catalog_gateway",
        "subscriptions_plan",
        "subscriptions_subscription",
        "apikeys_apikey",
        "apikeys_keysecret",
    ],
)
def test_a_table_that_is_emptied_concerns_everybody(key: ApiKey, table: str) -> None:
    def truncate() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {table} CASCADE")

    assert announced(truncate) == {""}
