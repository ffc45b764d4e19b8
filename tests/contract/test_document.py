"""The OpenAPI document: complete, valid, up to date, and true of what it shows."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from stoa_cp.openapi.views import OPENAPI_PATH
from tests.conftest import Caller

DOCUMENT: dict[str, Any] = json.loads(OPENAPI_PATH.read_text())
OPERATIONS = {
    f"{method} {path}": operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}


def test_the_snapshot_is_what_the_code_says() -> None:
    call_command("openapi", "--check")


def test_it_is_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    assert DOCUMENT["openapi"] == "3.1.0"


def test_it_is_served(anonymous: Caller) -> None:
    response = anonymous.get("/openapi.json")

    assert response["Content-Type"] == "application/json"
    assert response.json() == DOCUMENT


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_says_what_a_client_needs(name: str) -> None:
    operation = OPERATIONS[name]

    assert operation["summary"]
    assert operation["tags"]
    assert operation["security"]
    assert {"400", "401", "403", "500"} <= set(operation["responses"])
    assert list(_examples(operation)) or not _contents(operation), "no example"


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for operation in OPERATIONS.values()]

    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", OPERATIONS)
def test_examples_fit_their_schemas(name: str) -> None:
    for schema, value in _examples(OPERATIONS[name]):
        errors = [error.message for error in _validator(schema).iter_errors(value)]
        assert not errors


def test_every_event_type_is_a_webhook_of_the_document() -> None:
    assert DOCUMENT["webhooks"]


def _contents(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the bodies in JSON that an operation takes and gives, errors aside."""
    bodies = [operation.get("requestBody", {})]
    bodies += [body for status, body in operation["responses"].items() if status.startswith("2")]
    return [body["content"]["application/json"] for body in bodies if "application/json" in body.get("content", {})]


def _examples(operation: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Any]]:
    for content in _contents(operation):
        for example in content.get("examples", {}).values():
            yield content["schema"], example["value"]


def _validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Return a validator whose references lead into the document."""
    registry: Registry[Any] = Registry().with_resource("urn:document", DRAFT202012.create_resource(DOCUMENT))
    return Draft202012Validator(json.loads(json.dumps(schema).replace('"#/', '"urn:document#/')), registry=registry)
