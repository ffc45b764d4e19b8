"""The name of a deleted tenant opens nothing: not to tokens that carry it, not to retries of old requests."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db.models import F

from catalog.models import Api
from stoa_cp.devserver.realm import PEOPLE
from tenants.models import Tenant
from tests import log
from tests.answers import NOT_FOUND, refusal_of
from tests.conftest import Caller
from tests.factories import TenantFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db

ACME = {"name": "acme", "admin_email": "admin@acme.example", "tier": "business", "region": "us-east-1"}
API = {"name": "payments", "path": "/payments", "upstream_url": "https://up.example.com"}
QUARANTINED = (409, "conflict", "name", "name_quarantined")


def move_deletion_back(days: int) -> None:
    Tenant.objects.exclude(deleted_at=None).update(deleted_at=F("deleted_at") - timedelta(days=days))


def test_the_name_cannot_be_used_again_for_90_days(olga: Caller, acme: Tenant) -> None:
    olga.delete("/v1/tenants/acme")
    log_before = log.types()

    response = olga.post("/v1/tenants", ACME)

    assert refusal_of(response) == QUARANTINED
    assert log.types() == log_before
    move_deletion_back(89)
    assert refusal_of(olga.post("/v1/tenants", ACME)) == QUARANTINED


def test_the_refusal_tells_when_it_can(olga: Caller, acme: Tenant) -> None:
    olga.delete("/v1/tenants/acme")
    acme.refresh_from_db()
    assert acme.deleted_at is not None

    (detail,) = olga.post("/v1/tenants", ACME).json()["error"]["details"]

    assert (acme.deleted_at + timedelta(days=90)).date().isoformat() in detail["message"]


def test_then_it_is_free(olga: Caller, acme: Tenant) -> None:
    olga.delete("/v1/tenants/acme")
    move_deletion_back(91)

    created = olga.post("/v1/tenants", ACME)

    assert created.status_code == 201
    assert created.json()["id"] != acme.id
    assert olga.get("/v1/tenants/acme").json() == created.json()


def test_each_deletion_begins_a_quarantine(olga: Caller, acme: Tenant, settings: Any) -> None:
    olga.delete("/v1/tenants/acme")
    move_deletion_back(91)
    olga.post("/v1/tenants", ACME)

    olga.delete("/v1/tenants/acme")

    assert refusal_of(olga.post("/v1/tenants", ACME)) == QUARANTINED


def test_the_platform_can_turn_it_off(olga: Caller, acme: Tenant, settings: Any) -> None:
    settings.STOA_NAME_QUARANTINE_DAYS = 0
    olga.delete("/v1/tenants/acme")

    assert olga.post("/v1/tenants", ACME).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_a_creation_during_the_deletion_does_not_slip_through(olga: Caller) -> None:
    for number in range(12):
        name = f"tenant-of-{number}"
        TenantFactory(name=name)

        deleted, created = at_once(
            partial(olga.delete, f"/v1/tenants/{name}"), partial(olga.post, "/v1/tenants", ACME | {"name": name})
        )

        assert deleted.status_code == 204
        assert refusal_of(created)[0] == 409
        assert not Tenant.objects.live().filter(name=name).exists()


def test_a_retry_does_not_get_the_answer_of_the_deleted_tenant(
    alice: Caller, olga: Caller, acme: Tenant, settings: Any
) -> None:
    settings.STOA_NAME_QUARANTINE_DAYS = 0  # else the answer expires long before the name is free
    old = alice.post("/v1/tenants/acme/apis", API, Idempotency_Key="k-1").json()
    olga.delete("/v1/tenants/acme")
    olga.post("/v1/tenants", ACME)

    new = alice.post("/v1/tenants/acme/apis", API, Idempotency_Key="k-1")

    assert new.status_code == 201
    assert "Idempotency-Replayed" not in new
    assert new.json()["id"] != old["id"]
    assert Api.objects.count() == 2


@pytest.mark.parametrize("name", ["acme", "ten", "apis"])
def test_a_retry_may_name_the_tenant_by_its_id(olga: Caller, name: str) -> None:
    tenant = TenantFactory(name=name)
    first = olga.post(f"/v1/tenants/{name}/apis", API, Idempotency_Key="k-2")

    second: Any = olga.post(f"/v1/tenants/{tenant.id}/apis", API, Idempotency_Key="k-2")

    assert (second.content, second["Idempotency-Replayed"]) == (first.content, "true")


def test_a_token_with_the_name_finds_nothing(alice: Caller, olga: Caller, acme: Tenant) -> None:
    assert PEOPLE["alice"].tenant == "acme"
    olga.delete("/v1/tenants/acme")

    assert refusal_of(alice.get("/v1/tenants/acme")) == NOT_FOUND
    assert refusal_of(alice.get(f"/v1/tenants/{acme.id}")) == NOT_FOUND
