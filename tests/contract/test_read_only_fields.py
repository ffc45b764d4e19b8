"""What a client must not decide is refused by name on every write, and never honoured; an unchanged echo is fine."""

import json
from typing import Any

import pytest
from django.db import transaction

from stoa_cp.eventlog.models import Event
from stoa_cp.openapi.views import OPENAPI_PATH
from stoa_cp.rest.problems import MAX_DETAILS
from tests.answers import refused_fields
from tests.conftest import Caller
from tests.contract.operations import PREPARED, TABLE, filled
from tests.contract.world import build_world

pytestmark = pytest.mark.django_db

DOCUMENT = json.loads(OPENAPI_PATH.read_text())
# Columns and inventions that a careless serializer would take, besides whatever the answer shows.
ALWAYS = {"id", "pk", "tenant", "tenant_id", "version_", "created_at", "updated_at", "deleted_at", "created_by", "key"}
# Bodies that are documents of another format, or records whose strictness `tests/metrics` shows.
FOREIGN = {"/v1/gateway/traffic", "/v1/tenants/{tenant_id}/apis/import"}


def properties(schema: dict[str, Any]) -> set[str]:
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return set(schema.get("properties", {}))


def json_schema(part: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = part.get("content", {}).get("application/json", {}).get("schema", {})
    return schema


def read_only(method: str, path: str) -> set[str]:
    """Return what the answer shows and the body must not say, and what neither knows."""
    operation = DOCUMENT["paths"][path][method]
    writable = properties(json_schema(operation.get("requestBody", {})))
    answers = [part for status, part in operation["responses"].items() if status.startswith("2")]
    return (ALWAYS | properties(json_schema(answers[0]))) - writable


WRITES = sorted(key for key in TABLE if key[0] in ("post", "patch") and key[1] not in FOREIGN)
CHANGES = [key for key in WRITES if key[0] == "patch"]


@pytest.fixture
def world(db: None) -> dict[str, str]:
    return build_world()


@pytest.mark.parametrize("operation", WRITES, ids=" ".join)
def test_what_a_client_must_not_decide_is_refused_by_name(
    operation: tuple[str, str], world: dict[str, str], olga: Caller
) -> None:
    method, path = operation
    world |= {"subscription_id": world[PREPARED[path]]} if path in PREPARED else {}
    forbidden = sorted(read_only(method, path))
    body = filled(TABLE[operation][1] or {}, world)
    before = Event.objects.count()

    refused: dict[str, str] = {}
    for start in range(0, len(forbidden), MAX_DETAILS):  # a refusal names no more fields than that
        forged = dict.fromkeys(forbidden[start : start + MAX_DETAILS], "of my own choice")
        response = olga.send(method.upper(), path.format(**world), body | forged, {})
        assert response.status_code == 400, response.content
        refused |= refused_fields(response)

    assert sorted(refused) == forbidden
    assert set(refused.values()) <= {"read_only", "unknown_field"}
    assert Event.objects.count() == before


@pytest.mark.parametrize("operation", CHANGES, ids=" ".join)
def test_what_was_read_can_be_sent_back(operation: tuple[str, str], world: dict[str, str], olga: Caller) -> None:
    path = operation[1].format(**world)
    shown = olga.get(path)
    before = Event.objects.count()

    with transaction.atomic():
        echoed = olga.patch(path, shown.json())

    assert (echoed.status_code, echoed.json()) == (200, shown.json())
    assert echoed["ETag"] == shown["ETag"]
    assert Event.objects.count() == before
