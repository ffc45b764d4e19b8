"""Creating a tenant."""

from functools import partial
from typing import Any

import pytest

from stoa_cp.eventlog.models import Event
from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, duplicate, invalid, refusal_of, refused_fields
from tests.conftest import Caller
from tests.factories import TenantFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db

ACME = {"name": "acme", "tier": "starter", "admin_email": "admin@acme.com", "region": "us-east-1"}


def test_a_tenant_begins_in_provisioning(olga: Caller) -> None:
    response = olga.post("/v1/tenants", ACME)

    assert response.status_code == 201
    tenant = response.json()
    assert tenant["status"] == "provisioning"
    assert tenant["gateway_url"] == "https://gateway.example.com/acme"
    assert response["Location"] == f"/v1/tenants/{tenant['id']}"


def test_the_answer_is_the_whole_object(olga: Caller) -> None:
    created = olga.post("/v1/tenants", ACME)

    assert created.json().keys() == {
        "id", "name", "tier", "status", "status_reason", "admin_email", "region", "settings", "gateway_url",
        "created_at", "updated_at",
    }  # fmt: skip
    assert created.json()["settings"] == {"rate_limit_multiplier": 1.0, "rate_limit_per_hour": None}
    assert olga.get(created["Location"]).json() == created.json()


def test_the_creation_is_in_the_log(olga: Caller) -> None:
    tenant = olga.post("/v1/tenants", ACME).json()

    event = Event.objects.get(type="tenant.created")
    assert event.tenant_id == tenant["id"]
    assert event.actor == log.subject("olga")
    assert event.data["name"] == "acme"
    assert event.request_id
    assert event.changes == {}


def test_settings_may_be_given_at_once(olga: Caller) -> None:
    tenant = olga.post("/v1/tenants", ACME | {"settings": {"rate_limit_multiplier": 2}}).json()

    assert tenant["settings"] == {"rate_limit_multiplier": 2.0, "rate_limit_per_hour": None}


@pytest.mark.parametrize("name", ["abc", "a-b", "a1b", "3com", "a--b", "a" * 63])
def test_a_name_is_a_dns_label(olga: Caller, name: str) -> None:
    assert olga.post("/v1/tenants", ACME | {"name": name}).status_code == 201


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ab", "min_length"),
        ("a" * 64, "max_length"),
        ("Acme", "invalid"),
        ("-acme", "invalid"),
        ("acme-", "invalid"),
        ("ac_me", "invalid"),
        ("acme.com", "invalid"),
        ("acmé", "invalid"),
        ("acme\nx", "invalid"),
        ("", "blank"),
        (None, "null"),
        (123, "invalid"),
        (["acme"], "invalid"),
        ("admin", "reserved"),
        ("v1", "min_length"),
        ("docs", "reserved"),
        ("ten-0123456789abcdef", "reserved"),
    ],
)
def test_other_names_are_refused(olga: Caller, name: Any, code: str) -> None:
    assert refusal_of(olga.post("/v1/tenants", ACME | {"name": name})) == invalid("name", code)
    assert not Tenant.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("tier", "gold", "invalid_choice"),
        ("tier", "Starter", "invalid_choice"),
        ("tier", 1, "invalid_choice"),
        ("tier", None, "null"),
        ("admin_email", "admin", "invalid"),
        ("admin_email", "a" * 250 + "@acme.com", "max_length"),
        ("admin_email", None, "null"),
        ("region", "moon-1", "invalid_choice"),
        ("region", "", "blank"),
        ("region", 1, "invalid"),
        ("settings", None, "null"),
        ("settings", [], "invalid"),
        ("status", "active", "read_only"),
        ("id", "ten-0123456789abcdef", "read_only"),
        ("colour", "red", "unknown_field"),
    ],
)
def test_a_wrong_field_is_named(olga: Caller, field: str, value: Any, code: str) -> None:
    assert refusal_of(olga.post("/v1/tenants", ACME | {field: value})) == invalid(field, code)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("rate_limit_multiplier", 0.09, "min_value"),
        ("rate_limit_multiplier", 100.5, "max_value"),
        ("rate_limit_multiplier", "2", "invalid"),
        ("rate_limit_multiplier", True, "invalid"),
        ("rate_limit_multiplier", None, "null"),
        ("rate_limit_per_hour", 0, "min_value"),
        ("rate_limit_per_hour", 1.5, "invalid"),
        ("rate_limit_per_hour", "1000", "invalid"),
        ("rate_limit_per_day", 5, "unknown_field"),
    ],
)
def test_a_wrong_setting_is_named_by_its_path(olga: Caller, name: str, value: Any, code: str) -> None:
    response = olga.post("/v1/tenants", ACME | {"settings": {name: value}})

    assert refusal_of(response) == invalid(f"settings.{name}", code)


def test_all_missing_fields_are_named_at_once(olga: Caller) -> None:
    response = olga.post("/v1/tenants", {})

    assert refused_fields(response) == dict.fromkeys(ACME, "required")


def test_a_name_that_is_taken_is_a_conflict(olga: Caller) -> None:
    olga.post("/v1/tenants", ACME)

    assert refusal_of(olga.post("/v1/tenants", ACME)) == duplicate("name")
    assert log.types() == ["tenant.created"]


@pytest.mark.parametrize("name", ["alice", "dave", "victor", "bob"])
def test_only_the_platform_creates_tenants(call_as: Any, name: str) -> None:
    TenantFactory(name="acme")

    response = call_as(name).post("/v1/tenants", ACME | {"name": "initech"})

    assert refusal_of(response) == MISSING_ROLE
    assert not log.events().exists()


def test_nobody_is_asked_for_a_token(anonymous: Caller) -> None:
    assert refusal_of(anonymous.post("/v1/tenants", ACME)) == (401, "unauthorized", "", "token_missing")


@pytest.mark.django_db(transaction=True)
def test_of_twenty_identical_creations_at_once_one_succeeds(olga: Caller) -> None:
    for round_number in range(3):
        body = ACME | {"name": f"acme-{round_number}"}

        responses = at_once(*[partial(olga.post, "/v1/tenants", body)] * 20)

        refusals = [refusal_of(response) for response in responses if response.status_code != 201]
        assert refusals == [duplicate("name")] * 19
        assert Tenant.objects.filter(name=body["name"]).count() == 1
    assert log.types() == ["tenant.created"] * 3
