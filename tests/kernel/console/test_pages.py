"""Tenants, APIs, gateways and keys are changed in dialogs, too."""

import re
from typing import Any

import pytest
from django.test import Client

from apikeys.models import ApiKey, KeySecret
from catalog.authentication import load_gateway
from catalog.models import Api, Gateway
from stoa_cp.crypto.credentials import digest
from stoa_cp.eventlog.models import Event
from subscriptions.models import Subscription
from tenants.models import Tenant
from tests.factories import ApiFactory, ApiKeyFactory, SubscriptionFactory
from tests.kernel.console.pages import answer, dialog_of, said

pytestmark = pytest.mark.django_db

NEW_TENANT = {"name": "acme", "tier": "business", "admin_email": "ann@acme.example", "region": "eu-west-3"}


def secret_in(response: Any) -> str:
    found = re.search(r"stoa_\w+", response.content.decode())
    assert found is not None
    return found[0]


def test_a_tenant_is_created_through_the_service(console: Client) -> None:
    response = answer(console, dialog_of(Tenant, "create"), **NEW_TENANT)

    tenant = Tenant.objects.get()
    assert (tenant.name, tenant.tier, tenant.status) == ("acme", "business", "provisioning")
    assert Event.objects.get().actor == "stoa:operator:olga"
    assert said(response) == ["success: acme is being set up."]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "admin", "This name is reserved."),
        ("name", "Acme", "A name has 3 to 63 lower-case letters, digits and inner hyphens."),
        ("admin_email", "ann", "Enter a valid email address."),
        ("region", "mars-1", "Select a valid choice."),
    ],
)
def test_a_tenant_is_created_by_the_apis_rules(console: Client, field: str, value: str, sentence: str) -> None:
    response = answer(console, dialog_of(Tenant, "create"), **NEW_TENANT | {field: value})

    assert sentence in response.content.decode()
    assert not Tenant.objects.exists()


def test_a_name_that_is_taken_is_said_beside_the_field(console: Client, acme: Tenant) -> None:
    response = answer(console, dialog_of(Tenant, "create"), **NEW_TENANT)

    assert "A tenant of this name exists already." in response.content.decode()


def test_a_tenant_gets_other_limits(console: Client, acme: Tenant) -> None:
    dialog = dialog_of(acme, "change_limits")
    assert 'value="1.0"' in console.get(dialog).content.decode()

    answer(console, dialog, tier="enterprise", rate_limit_multiplier="2.5", rate_limit_per_hour="7000")

    acme.refresh_from_db()
    assert (acme.tier, acme.calls_per_hour) == ("enterprise", 17_500)
    assert Event.objects.get().type == "tenant.updated"


def test_a_tenant_is_suspended_resumed_and_deleted(console: Client, acme: Tenant) -> None:
    states = []
    for step in ("suspend", "resume", "delete_tenant"):
        answer(console, dialog_of(acme, step), reason="Unpaid")
        states.append(Tenant.objects.get().status)

    assert states == ["suspended", "active", "deleted"]


def test_an_api_is_switched_off_and_on(console: Client) -> None:
    api = ApiFactory()
    states = []
    for step in ("deactivate", "activate"):
        answer(console, dialog_of(api, step))
        states.append(Api.objects.get().status)

    assert states == ["inactive", "active"]


def test_an_api_in_use_is_deleted_only_with_its_subscriptions(console: Client) -> None:
    api = SubscriptionFactory(active=True).api

    refused = answer(console, dialog_of(api, "delete_api"))
    assert said(refused)[0].startswith("warning: 1 live subscriptions")
    answer(console, dialog_of(api, "delete_api"), cascade="on")

    assert Api.objects.get().deleted_at is not None
    assert Subscription.objects.get().status == "revoked"


def test_a_gateway_gets_a_token_that_is_shown_once(console: Client) -> None:
    token = secret_in(answer(console, dialog_of(Gateway, "create"), name="edge-1"))

    gateway = Gateway.objects.get()
    found = load_gateway(token)
    assert found is not None
    actor = found.actor
    assert actor.id == gateway.id


def test_a_gateways_new_token_replaces_the_old_one(console: Client) -> None:
    old = secret_in(answer(console, dialog_of(Gateway, "create"), name="edge-1"))
    new = secret_in(answer(console, dialog_of(Gateway.objects.get(), "rotate_token")))

    assert load_gateway(old) is None
    assert load_gateway(new) is not None


def test_a_withdrawn_gateway_is_refused(console: Client) -> None:
    token = secret_in(answer(console, dialog_of(Gateway, "create"), name="edge-1"))
    answer(console, dialog_of(Gateway.objects.get(), "delete_gateway"))

    assert load_gateway(token) is None


def test_a_rotated_key_has_two_secrets_until_the_rotation_is_finished(console: Client) -> None:
    key = ApiKeyFactory()
    secret = secret_in(answer(console, dialog_of(key, "rotate"), overlap_hours="24"))

    assert KeySecret.objects.filter(valid_until=None, digest=digest(secret)).exists()
    assert ApiKey.objects.with_status().get().status == "rotating"
    again = answer(console, dialog_of(key, "rotate"), overlap_hours="24")
    assert said(again) == ["warning: A rotation is under way; finish it first, or force this one."]
    answer(console, dialog_of(key, "finish_rotation"))
    assert ApiKey.objects.with_status().get().status == "active"


def test_a_key_is_revoked(console: Client) -> None:
    key = ApiKeyFactory()
    answer(console, dialog_of(key, "revoke"))

    assert ApiKey.objects.with_status().get().status == "revoked"
