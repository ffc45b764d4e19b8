"""An API of acme's with a subscription, and their like at globex."""

import pytest

from catalog.models import Api
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests.factories import ApiFactory, SubscriptionFactory


@pytest.fixture
def payments(acme: Tenant) -> Api:
    return ApiFactory(tenant=acme, name="payments", path="/payments")


@pytest.fixture
def mobile(payments: Api) -> Subscription:
    """An application's subscription to acme's payments."""
    return SubscriptionFactory(tenant=payments.tenant, api=payments, application="mobile", active=True)


@pytest.fixture
def strange(globex: Tenant) -> Subscription:
    """A subscription at globex."""
    return SubscriptionFactory(tenant=globex, application="strange", active=True)
