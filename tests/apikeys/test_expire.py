"""A key's end is announced 30, 7 and 1 days before, and when it has come; each once."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apikeys.models import ApiKey
from apikeys.services.expiry_warnings import announce_next_expiry
from apikeys.services.revocations import revoke_key
from apikeys.tasks import announce_expiries
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.models import Event
from subscriptions.models import Subscription, SubscriptionStatus
from tenants.models import Tenant
from tests.factories import ApiKeyFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(db: None) -> ApiKey:
    """A key that was issued a year ago."""
    key = ApiKeyFactory()
    ApiKey.objects.update(created_at=timezone.now() - timedelta(days=365))
    return key


def announced_with(**left: float) -> list[str]:
    """Set what is left of every key's life, run the sweep twice, and return what was announced so far."""
    ApiKey.objects.update(expires_at=timezone.now() + timedelta(**left))
    announce_expiries()
    announce_expiries()
    return [event.type.removeprefix("apikey.") for event in Event.objects.order_by("sequence")]


def test_each_warning_comes_once(key: ApiKey) -> None:
    assert announced_with(days=31) == []
    assert announced_with(days=29.9) == ["expiring"]
    assert announced_with(days=8) == ["expiring"]
    assert announced_with(days=6.9) == ["expiring"] * 2
    assert announced_with(hours=23.9) == ["expiring"] * 3
    assert announced_with(seconds=-1) == [*["expiring"] * 3, "expired"]
    assert Event.objects.first().data["id"] == key.id


def test_what_nobody_announced_in_time_is_announced_once_only(key: ApiKey) -> None:
    assert announced_with(hours=1) == ["expiring"]
    assert announced_with(hours=-1) == ["expiring", "expired"]


def test_a_key_that_was_issued_for_less_is_no_surprise(key: ApiKey) -> None:
    ApiKey.objects.update(created_at=timezone.now())
    assert announced_with(days=5) == []
    ApiKey.objects.update(created_at=timezone.now() - timedelta(days=4.5))
    assert announced_with(days=0.5) == ["expiring"]


def test_of_keys_that_open_nothing_anyway_nothing_is_said(key: ApiKey) -> None:
    Subscription.objects.update(status=SubscriptionStatus.REVOKED)
    assert announced_with(days=1) == []
    Subscription.objects.update(status=SubscriptionStatus.ACTIVE)
    Tenant.objects.update(status="deleted", deleted_at=timezone.now())
    assert announced_with(days=1) == []


def test_of_a_revoked_key_nothing_is_said(key: ApiKey) -> None:
    revoke_key(key, by=SYSTEM)
    assert announced_with(days=1) == ["revoked"]


@pytest.mark.django_db(transaction=True)
def test_of_two_workers_one_announces(key: ApiKey) -> None:
    ApiKey.objects.update(expires_at=timezone.now() + timedelta(hours=1))
    found = at_once(*[announce_next_expiry] * 4)
    assert sum(one is not None for one in found) == 1
    assert Event.objects.count() == 1
