"""Searches of long lists: by ids and names in full, each by an index (``tests/scale/test_plans_lists.py``)."""

from typing import Any

import pytest
from django.test import Client

from apikeys.models import ApiKey
from tests.factories import ApiKeyFactory, SubscriptionFactory, TenantFactory
from tests.kernel.console.pages import list_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def key() -> ApiKey:
    """A key, beside one of another tenant that no search of these is to find."""
    ApiKeyFactory()
    own = SubscriptionFactory(tenant=TenantFactory(name="acme"), application="mobile", active=True)
    key: ApiKey = ApiKeyFactory(subscription=own)
    return key


def found(console: Client, row: Any, text: str) -> list[Any]:
    response = console.get(list_of(type(row)), {"q": text})
    assert response.status_code == 200
    return [each.pk for each in response.context["cl"].result_list]


def test_keys(console: Client, key: ApiKey) -> None:
    for text in (
        key.id,
        key.subscription_id,
        key.tenant_id,
        "acme",
        "mobile",
        key.start,
        f"{key.start}abc",
        f" {key.id} ",
    ):
        assert found(console, key, text) == [key.id]


def test_subscriptions(console: Client, key: ApiKey) -> None:
    subscription = key.subscription
    for text in (subscription.id, subscription.api_id, subscription.tenant_id, "acme", "mobile"):
        assert found(console, subscription, text) == [subscription.id]


def test_apis(console: Client, key: ApiKey) -> None:
    api = key.subscription.api
    for text in (api.id, api.tenant_id, "acme", api.name):
        assert found(console, api, text) == [api.id]


@pytest.mark.parametrize("text", ["unknown", "mob", "%", "key-0000000000000000", "stoa_test_0", "\N{GRINNING FACE}"])
def test_what_is_unknown_finds_nothing(console: Client, key: ApiKey, text: str) -> None:
    for row in (key, key.subscription, key.subscription.api):
        assert found(console, row, text) == []


def test_a_list_without_a_search_has_all(console: Client, key: ApiKey) -> None:
    assert len(found(console, key, "")) == 2
