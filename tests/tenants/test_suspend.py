"""Suspending a tenant, and resuming it."""

from typing import Any

import pytest

from tenants.models import Tenant
from tests import log
from tests.answers import MISSING_ROLE, NOT_FOUND, WRONG_STATE, invalid, refusal_of
from tests.conftest import Caller
from tests.factories import TenantFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db

SUSPEND = "/v1/tenants/acme/suspend"
RESUME = "/v1/tenants/acme/resume"


def test_a_suspended_tenant_says_why(olga: Caller, acme: Tenant) -> None:
    suspended = olga.post(SUSPEND, {"reason": "unpaid"}).json()

    assert (suspended["status"], suspended["status_reason"]) == ("suspended", "unpaid")
    event = log.last_event()
    assert (event.type, event.actor, event.data["status_reason"]) == (
        "tenant.suspended",
        log.subject("olga"),
        "unpaid",
    )


def test_the_reason_may_be_left_out(olga: Caller, acme: Tenant) -> None:
    assert olga.post(SUSPEND).json()["status"] == "suspended"


def test_a_resumed_tenant_is_active_without_a_reason(olga: Caller, acme: Tenant) -> None:
    olga.post(SUSPEND, {"reason": "unpaid"})

    resumed = olga.post(RESUME).json()

    assert (resumed["status"], resumed["status_reason"]) == ("active", "")
    assert log.types() == ["tenant.suspended", "tenant.resumed"]


@pytest.mark.parametrize("status", ["provisioning", "suspended"])
def test_only_an_active_tenant_is_suspended(olga: Caller, status: str) -> None:
    TenantFactory(name="acme", status=status)

    assert refusal_of(olga.post(SUSPEND)) == WRONG_STATE


@pytest.mark.parametrize("status", ["provisioning", "active"])
def test_only_a_suspended_tenant_is_resumed(olga: Caller, status: str) -> None:
    TenantFactory(name="acme", status=status)

    response = olga.post(RESUME)

    assert refusal_of(response) == WRONG_STATE
    assert response.json()["error"]["message"] == f"The tenant is {status}."


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"reason": 7}, "reason", "invalid"),
        ({"reason": None}, "reason", "null"),
        ({"reason": "x" * 501}, "reason", "max_length"),
        ({"because": "x"}, "because", "unknown_field"),
        ([], "", "invalid"),
    ],
)
def test_a_wrong_body_is_refused(olga: Caller, acme: Tenant, body: Any, field: str, code: str) -> None:
    assert refusal_of(olga.post(SUSPEND, body)) == invalid(field, code)


def test_resuming_takes_no_fields(olga: Caller, acme: Tenant) -> None:
    olga.post(SUSPEND)

    assert refusal_of(olga.post(RESUME, {"reason": "paid"})) == invalid("reason", "unknown_field")


@pytest.mark.parametrize("name", ["alice", "dave", "victor"])
@pytest.mark.parametrize("path", [SUSPEND, RESUME])
def test_only_the_platform_decides(call_as: Any, acme: Tenant, path: str, name: str) -> None:
    assert refusal_of(call_as(name).post(path)) == MISSING_ROLE


def test_a_stranger_finds_nothing(bob: Caller, acme: Tenant, globex: Tenant) -> None:
    assert refusal_of(bob.post(SUSPEND)) == NOT_FOUND


@pytest.mark.django_db(transaction=True)
def test_of_two_suspensions_at_once_one_succeeds(olga: Caller, acme: Tenant) -> None:
    for _round in range(3):
        responses = at_once(*[lambda: olga.post(SUSPEND)] * 4)

        assert sorted(response.status_code for response in responses) == [200, 409, 409, 409]
        olga.post(RESUME)
    assert log.types() == ["tenant.suspended", "tenant.resumed"] * 3
