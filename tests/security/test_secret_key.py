"""A change of STOA_SECRET_KEY: with the former value nothing is lost, without it nothing happens twice."""

import pytest
from django.test import Client
from pytest_django import Settings

from apikeys.models import ApiKey
from tenants.models import Tenant
from tests.answers import refusal_of
from tests.conftest import Caller
from tests.factories import SubscriptionFactory

pytestmark = pytest.mark.django_db

NEW = "a-new-secret-key-0f1e2d3c4b5a69788796a5b4c3d2e1f0"


def replace_secret_key(settings: Settings, *, keep: bool) -> None:
    fallbacks = [settings.SECRET_KEY] if keep else []
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, fallbacks


@pytest.fixture
def approval(acme: Tenant) -> str:
    """The path of a write whose answer holds a secret."""
    return f"/v1/tenants/acme/subscriptions/{SubscriptionFactory(tenant=acme).id}/approve"


def test_a_retry_is_replayed_with_the_former_key(alice: Caller, approval: str, settings: Settings) -> None:
    first = alice.post(approval, {}, Idempotency_Key="once")
    replace_secret_key(settings, keep=True)
    again = alice.post(approval, {}, Idempotency_Key="once")

    assert (again.status_code, again.content) == (200, first.content)
    assert again["Idempotency-Replayed"] == "true"


def test_without_the_former_key_a_retry_is_refused_and_happens_once(
    alice: Caller, approval: str, settings: Settings
) -> None:
    alice.post(approval, {}, Idempotency_Key="once")
    replace_secret_key(settings, keep=False)
    again = alice.post(approval, {}, Idempotency_Key="once")

    assert refusal_of(again) == (409, "conflict", "", "idempotency_answer_unreadable")
    assert ApiKey.objects.count() == 1


def test_what_is_stored_after_the_change_needs_the_new_key_alone(
    alice: Caller, approval: str, settings: Settings
) -> None:
    replace_secret_key(settings, keep=True)
    first = alice.post(approval, {}, Idempotency_Key="once")
    settings.SECRET_KEY_FALLBACKS = []

    assert alice.post(approval, {}, Idempotency_Key="once").content == first.content


@pytest.mark.parametrize("keep", [True, False])
def test_a_session_of_the_console_goes_on_with_the_former_key(
    console: Client, settings: Settings, *, keep: bool
) -> None:
    assert console.get("/admin/").status_code == 200
    replace_secret_key(settings, keep=keep)

    assert console.get("/admin/").status_code == (200 if keep else 302)
