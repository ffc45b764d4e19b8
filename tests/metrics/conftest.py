"""An API of acme with a subscription, and a subscription of another tenant."""

from collections.abc import Iterator
from datetime import datetime

import pytest
import time_machine

from catalog.models import Api
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests.factories import ApiFactory, SubscriptionFactory
from tests.metrics.traffic import NOW


@pytest.fixture
def now() -> Iterator[datetime]:
    """Stop the clock on a Thursday morning: a test that computes days from it must not run over midnight."""
    with time_machine.travel(NOW, tick=False):
        yield NOW


@pytest.fixture
def payments(acme: Tenant) -> Api:
    return ApiFactory(tenant=acme, name="payments", path="/payments")


@pytest.fixture
def mobile(payments: Api) -> Subscription:
    """An application's subscription to acme's payments."""
    return SubscriptionFactory(tenant=payments.tenant, api=payments, application="mobile", active=True)


@pytest.fixture
def foreign(globex: Tenant) -> Subscription:
    """A subscription of another tenant, globex."""
    return SubscriptionFactory(tenant=globex, application="foreign", active=True)
