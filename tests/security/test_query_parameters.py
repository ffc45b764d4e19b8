"""Query parameters: an operation refuses those that it does not know, and those that are given twice."""

from typing import Any

import pytest

from stoa_cp.eventlog.models import Event
from tests.conftest import Caller
from tests.contract.operations import OPERATIONS, ORIGINAL, PREPARED, TABLE, filled
from tests.contract.world import build_world

pytestmark = pytest.mark.django_db

# The query of an authorization request is the original call's, as some proxies send it.
STRICT = [operation for operation in OPERATIONS if not operation[1].startswith("/v1/gateway/authorize")]
WRITES = [operation for operation in STRICT if operation[0] != "get"]


@pytest.mark.parametrize("operation", STRICT, ids=" ".join)
@pytest.mark.parametrize("query", ["dry_runn=true", "x", "limit=1&limit=2", "cascade=true&cascade=false"])
def test_a_parameter_that_is_unknown_or_given_twice_is_refused(
    operation: tuple[str, str], query: str, olga: Caller
) -> None:
    response = send(olga, operation, query, build_world())
    detail = response.json()["error"]["details"][0]
    assert response.status_code == 400
    assert detail["field"] == query.partition("=")[0]
    assert detail["code"] in ("unknown_field", "invalid")


@pytest.mark.parametrize("operation", WRITES, ids=" ".join)
def test_a_mistyped_dry_run_changes_nothing(operation: tuple[str, str], olga: Caller) -> None:
    world = build_world()
    before = Event.objects.count()
    assert send(olga, operation, "dry-run=true", world).status_code == 400
    assert Event.objects.count() == before


def send(caller: Caller, operation: tuple[str, str], query: str, world: dict[str, str]) -> Any:
    method, path = operation
    if path in PREPARED:
        world = world | {"subscription_id": world[PREPARED[path]]}
    address = f"{path.format(**world)}?{query}"
    return caller.send(method.upper(), address, filled(TABLE[operation][1], world), ORIGINAL)
