"""How many SQL statements a read may cost, all of them: the count of the call, the tenant, the object."""

from collections.abc import Callable, Iterator

import pytest
from django.core.cache import caches
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from tenants.models import Tenant
from tests.conftest import Caller
from tests.contract.world import build_world
from tests.factories import ApiFactory, ApiKeyFactory, SubscriptionFactory
from tests.webhooks.factories import DeliveryFactory, WebhookFactory

pytestmark = pytest.mark.django_db

TENANT = "/v1/tenants/{tenant_id}"
WEBHOOK = f"{TENANT}/webhooks/{{webhook_id}}"

# Of 4 statements two count the call: one takes the window's row over or finds it taken, one adds to it.
ONE_OBJECT = [
    TENANT,
    f"{TENANT}/apis/{{api_id}}",
    f"{TENANT}/plans/{{plan_id}}",
    f"{TENANT}/subscriptions/{{subscription_id}}",
    f"{TENANT}/apikeys/{{key_id}}",
    WEBHOOK,
]
LISTS = ["/v1/tenants"] + [
    f"{TENANT}/{name}" for name in ("apis", "plans", "subscriptions", "apikeys", "webhooks", "events", "usage")
]
DELIVERIES = f"{WEBHOOK}/deliveries"  # below another object, and with the attempts below each
IN_ONE_OBJECT, IN_A_LIST, IN_DELIVERIES, OF_THE_COUNT = 4, 5, 6, 2

Count = Callable[[str], list[str]]


@pytest.fixture
def world(db: None) -> dict[str, str]:
    """A tenant with several of everything: a query per row would show."""
    world = build_world()
    tenant = Tenant.objects.get(pk=world["tenant_id"])
    ApiFactory.create_batch(3, tenant=tenant)
    WebhookFactory.create_batch(3, tenant=tenant)
    for _key in range(3):
        ApiKeyFactory(subscription=SubscriptionFactory(tenant=tenant, active=True))
    DeliveryFactory.create_batch(3, webhook=tenant.webhooks.get(pk=world["webhook_id"]))
    return world


@pytest.fixture(params=["alice", "olga"])
def statements(request: pytest.FixtureRequest, call_as: Callable[[str], Caller], world: dict[str, str]) -> Count:
    """Return the statements of a GET by a tenant's administrator and by the platform, not the first of their hour."""
    caller = call_as(request.param)

    def count(path: str) -> list[str]:
        caller.get("/v1/me")
        with CaptureQueriesContext(connection) as captured:
            response = caller.get(path.format(**world))
        assert response.status_code == 200, response.content
        return [query["sql"] for query in captured.captured_queries]

    return count


@pytest.fixture
def counters_elsewhere() -> Iterator[None]:
    """Count calls in memory, as a stand-in for Redis: not in the database."""
    elsewhere = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "query-budgets"}
    with override_settings(CACHES={"default": caches.settings["default"], "counters": elsewhere}):
        yield
        caches["counters"].clear()


@pytest.mark.parametrize("path", ONE_OBJECT)
def test_a_read_of_one_object(statements: Count, path: str) -> None:
    made = statements(path)

    assert len(made) <= IN_ONE_OBJECT, made


@pytest.mark.parametrize("path", ONE_OBJECT)
@pytest.mark.usefixtures("counters_elsewhere")
def test_a_read_of_one_object_with_counters_elsewhere(statements: Count, path: str) -> None:
    made = statements(path)

    assert len(made) <= IN_ONE_OBJECT - OF_THE_COUNT, made


@pytest.mark.parametrize("path", LISTS)
def test_a_list(statements: Count, path: str) -> None:
    made = statements(path)

    assert len(made) <= IN_A_LIST, made


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.usefixtures("counters_elsewhere")
def test_a_list_with_counters_elsewhere(statements: Count, path: str) -> None:
    made = statements(path)

    assert len(made) <= IN_A_LIST - OF_THE_COUNT, made


def test_the_list_of_deliveries(statements: Count) -> None:
    made = statements(DELIVERIES)

    assert len(made) <= IN_DELIVERIES, made
