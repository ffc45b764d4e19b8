"""Updating a tenant."""

from typing import Any

import pytest

from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, NOT_FOUND, invalid, refusal_of, refused_fields
from tests.conftest import Caller
from tests.races import at_once

pytestmark = pytest.mark.django_db

TENANT = "/v1/tenants/acme"


def test_the_platform_changes_the_tier_and_the_limits(olga: Caller, acme: Tenant) -> None:
    changed = olga.patch(TENANT, {"tier": "enterprise", "settings": {"rate_limit_per_hour": 5000}}).json()

    assert changed["tier"] == "enterprise"
    assert changed["settings"] == {"rate_limit_multiplier": 1.0, "rate_limit_per_hour": 5000}


def test_the_log_tells_who_changed_what(olga: Caller, acme: Tenant) -> None:
    olga.patch(TENANT, {"tier": "free", "region": "us-east-1", "settings": {"rate_limit_multiplier": 2}})

    event = log.last_event()
    assert (event.type, event.actor, event.tenant_id) == ("tenant.updated", log.subject("olga"), acme.id)
    assert event.changes == {"tier": ["business", "free"], "rate_limit_multiplier": [1.0, 2.0]}
    assert event.data["tier"] == "free"
    assert event.data["version"] == acme.version + 1


def test_nested_settings_are_merged(olga: Caller, acme: Tenant) -> None:
    olga.patch(TENANT, {"settings": {"rate_limit_multiplier": 3, "rate_limit_per_hour": 7}})

    merged = olga.patch(TENANT, {"settings": {"rate_limit_per_hour": None}}).json()

    assert merged["settings"] == {"rate_limit_multiplier": 3.0, "rate_limit_per_hour": None}


@pytest.mark.parametrize(
    "body", [{}, {"settings": {}}, {"tier": "business"}, {"settings": {"rate_limit_multiplier": 1}}]
)
def test_what_changes_nothing_writes_nothing(olga: Caller, acme: Tenant, body: dict[str, Any]) -> None:
    before = olga.get(TENANT).json()

    assert olga.patch(TENANT, body).json() == before
    assert not log.events().exists()


def test_the_whole_object_can_be_sent_back(alice: Caller, acme: Tenant) -> None:
    whole = alice.get(TENANT).json()

    response = alice.patch(TENANT, whole | {"admin_email": "new@example.com"})

    assert response.status_code == 200
    assert log.last_event().changes == {"admin_email": ["admin@example.com", "new@example.com"]}


def test_a_region_that_was_closed_since_can_be_sent_back(alice: Caller, acme: Tenant, settings: Any) -> None:
    settings.STOA_REGIONS = ["eu-west-1"]

    assert alice.patch(TENANT, {"region": "us-east-1"}).status_code == 200
    assert refusal_of(alice.patch(TENANT, {"region": "us-west-2"})) == invalid("region", "invalid_choice")


def test_read_only_fields_are_refused_when_they_differ(olga: Caller, acme: Tenant) -> None:
    response = olga.patch(TENANT, {"name": "other", "status": "deleted", "gateway_url": None, "tier": "free"})

    assert refused_fields(response) == dict.fromkeys(["name", "status", "gateway_url"], "read_only")
    acme.refresh_from_db()
    assert acme.tier == "business"


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"tier": None}, "tier", "null"),
        ({"admin_email": None}, "admin_email", "null"),
        ({"settings": None}, "settings", "null"),
        ({"settings": {"rate_limit_multiplier": None}}, "settings.rate_limit_multiplier", "null"),
        ({"version": 7}, "version", "unknown_field"),
        ({"deleted_at": None}, "deleted_at", "unknown_field"),
        ([], "", "invalid"),
        ("tier", "", "invalid"),
        (None, "", "invalid"),
    ],
)
def test_a_wrong_body_is_refused(olga: Caller, acme: Tenant, body: Any, field: str, code: str) -> None:
    response = olga.send("PATCH", TENANT, b"null" if body is None else body, {})

    assert refusal_of(response) == invalid(field, code)


def test_a_tenant_admin_changes_the_contact_and_the_region(alice: Caller, acme: Tenant) -> None:
    changed = alice.patch(TENANT, {"admin_email": "new@example.com", "region": "eu-west-1"}).json()

    assert (changed["admin_email"], changed["region"]) == ("new@example.com", "eu-west-1")


@pytest.mark.parametrize(
    "body",
    [
        {"tier": "enterprise"},
        {"settings": {"rate_limit_multiplier": 100}},
        {"settings": {"rate_limit_per_hour": 1}},
        {"admin_email": "new@example.com", "tier": "free"},
    ],
)
def test_what_a_tenant_pays_for_is_the_platforms_to_change(alice: Caller, acme: Tenant, body: dict[str, Any]) -> None:
    assert refusal_of(alice.patch(TENANT, body)) == MISSING_ROLE
    assert not log.events().exists()


@pytest.mark.parametrize("name", ["dave", "victor"])
def test_other_roles_change_nothing(call_as: Any, acme: Tenant, name: str) -> None:
    assert refusal_of(call_as(name).patch(TENANT, {"region": "eu-west-1"})) == MISSING_ROLE


def test_a_stranger_finds_nothing(bob: Caller, acme: Tenant, globex: Tenant) -> None:
    assert refusal_of(bob.patch(f"/v1/tenants/{acme.id}", {"region": "eu-west-1"})) == NOT_FOUND


@pytest.mark.django_db(transaction=True)
def test_updates_at_once_do_not_undo_each_other(olga: Caller, acme: Tenant) -> None:
    bodies = [{"tier": "free"}, {"region": "eu-west-1"}, {"admin_email": "new@example.com"}] * 3

    responses = at_once(*[lambda body=body: olga.patch(TENANT, body) for body in bodies])

    assert {response.status_code for response in responses} == {200}
    acme.refresh_from_db()
    assert (acme.tier, acme.region, acme.admin_email, acme.version) == ("free", "eu-west-1", "new@example.com", 4)
    assert log.types() == ["tenant.updated"] * 3
