"""Every operation of the document, tried by every actor. One that is missing in operations.py fails the build."""

import json
from typing import Any

import pytest
from django.db import transaction

from stoa_cp.openapi.views import OPENAPI_PATH
from tests.conftest import Caller
from tests.contract.operations import CAST, OPERATIONS, ORIGINAL, PREPARED, TABLE, filled
from tests.contract.world import build_world

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db: None) -> dict[str, str]:
    return build_world()


def attempt(caller: Caller, operation: tuple[str, str], world: dict[str, str]) -> int:
    """Try an operation and undo it; return the status."""
    method, path = operation
    if path in PREPARED:
        world = world | {"subscription_id": world[PREPARED[path]]}
    body = filled(TABLE[operation][1], world)
    with transaction.atomic():
        status: int = caller.send(method.upper(), path.format(**world), body, ORIGINAL).status_code
        transaction.set_rollback(True)
    return status


def test_the_table_has_every_operation_of_the_document() -> None:
    paths = json.loads(OPENAPI_PATH.read_text())["paths"]

    assert {(method, path) for path, operations in paths.items() for method in operations} == set(TABLE)


@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
def test_who_may(operation: tuple[str, str], world: dict[str, str], call_as: Any) -> None:
    allowed, _body = TABLE[operation]
    for name in CAST:
        status = attempt(call_as(name), operation, world)
        if name in allowed:
            assert status < 400 or status == 409, (name, status)  # 409: allowed, in another state
        elif name == "bob" and "{tenant_id}" in operation[1]:
            assert status == 404, (name, status)
        else:
            assert status == 403, (name, status)


@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
def test_without_a_token_all_are_refused(operation: tuple[str, str], world: dict[str, str], anonymous: Caller) -> None:
    assert attempt(anonymous, operation, world) == 401


NESTED = [operation for operation in OPERATIONS if operation[1].count("{") > 1]


@pytest.mark.parametrize("operation", NESTED, ids=" ".join)
def test_anothers_id_under_ones_own_tenant_is_not_there(
    operation: tuple[str, str], world: dict[str, str], olga: Caller
) -> None:
    swapped = build_world("globex") | {"tenant_id": world["tenant_id"]}

    assert attempt(olga, operation, swapped) == 404


def test_the_cast_lists_only_its_own(world: dict[str, str], bob: Caller, alice: Caller) -> None:
    assert bob.get("/v1/tenants").json()["items"] == []
    assert [tenant["name"] for tenant in alice.get("/v1/tenants").json()["items"]] == ["acme"]
