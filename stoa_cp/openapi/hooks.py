"""Postprocessing hooks of drf-spectacular: conditional requests, idempotency, dry runs, and strict request bodies.

The write path in ``stoa_cp.rest`` gives these to all operations, so drf-spectacular cannot read them from the views.
Each public function changes the document and returns it.
"""

from collections.abc import Iterator
from typing import Any

# Under components, and referred to from each operation: written once instead of in each of them.
PARAMETERS: dict[str, dict[str, Any]] = {
    "DryRun": {
        "name": "dry_run",
        "in": "query",
        "description": "Tell what the answer would be, and do nothing.",
        "schema": {"type": "boolean", "default": False},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key and body get the same answer for 24 hours, and happen once.",
        "schema": {"type": "string", "pattern": "^[!#-~]{1,255}$"},
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": "The ETag of the version that this change is meant for.",
        "schema": {"type": "string"},
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of the version that the client has.",
        "schema": {"type": "string"},
    },
}
HEADERS: dict[str, dict[str, Any]] = {
    "ETag": {"description": "The object's version.", "schema": {"type": "string"}},
    "Location": {"description": "Where the new object is.", "required": True, "schema": {"type": "string"}},
}
ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
RESPONSES: dict[str, dict[str, Any]] = {
    "NotModified": {"description": "The client has this version already."},
    "PreconditionFailed": {"description": "The object has changed since.", "content": ERROR},
    "IdempotencyKeyReused": {
        "description": "The Idempotency-Key was used with another body, or with other parameters.",
        "content": ERROR,
    },
}
# Changes nothing. A POST, because its body holds an API key, and a URL would show the key in logs.
EXPLAIN = "/explain"
# Gateways: these operations do not pass through the write path, and gateways retry by their own rules.
GATEWAY_PREFIX = "/v1/gateway/"
CREATED, CHANGED = "201", ("200", "204")  # statuses of an operation that creates an object, or changes one


def add_shared_parameters(result: dict[str, Any], **_context: Any) -> dict[str, Any]:
    """Add the parameters and responses of conditional requests, idempotency and dry runs where they apply."""
    components = result["components"]
    components["parameters"], components["headers"] = PARAMETERS, HEADERS
    components["responses"] |= RESPONSES
    for path, method, operation in _operations(result):
        if path.startswith(GATEWAY_PREFIX) or path.endswith(EXPLAIN):
            continue
        if method != "get":
            _describe_write(method, operation)
        elif path.endswith("}"):
            _describe_conditional_read(operation)
    return result


def refuse_unknown_fields(result: dict[str, Any], **_context: Any) -> dict[str, Any]:
    """Forbid unknown fields in request bodies, and require all fields in responses.

    Generated clients then find a misspelled field before they send it, and need no check for a field that is missing.
    """
    schemas = result["components"]["schemas"]
    for name, schema in list(schemas.items()):
        if name.endswith("Request") and schema.get("type") == "object":
            schema["additionalProperties"] = False
            _require_whole(schemas, name.removesuffix("Request").removeprefix("Patched"))
    return result


def _require_whole(schemas: dict[str, Any], name: str) -> None:
    """Require all fields of the resource ``name`` in its response schemas.

    Also in those that have more fields, such as the answer to a creation, which adds a secret that is shown once.
    """
    fields = schemas.get(name, {}).get("properties", {}).keys()
    for answer, schema in schemas.items():
        if fields and not answer.endswith("Request") and fields <= schema.get("properties", {}).keys():
            schema["required"] = sorted({*schema.get("required", []), *fields})


def _operations(result: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def _describe_conditional_read(operation: dict[str, Any]) -> None:
    _add_parameter(operation, "IfNoneMatch")
    operation["responses"]["304"] = {"$ref": "#/components/responses/NotModified"}
    operation["responses"]["200"]["headers"] = {"ETag": {"$ref": "#/components/headers/ETag"}}


def _describe_write(method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    _add_parameter(operation, "DryRun")
    if method in ("post", "patch"):
        _add_parameter(operation, "IdempotencyKey")
        responses["422"] = {"$ref": "#/components/responses/IdempotencyKeyReused"}
    if CREATED in responses:
        responses[CREATED]["headers"] = {"Location": {"$ref": "#/components/headers/Location"}}
    elif any(status in responses for status in CHANGED):
        _add_parameter(operation, "IfMatch")
        responses["412"] = {"$ref": "#/components/responses/PreconditionFailed"}


def _add_parameter(operation: dict[str, Any], name: str) -> None:
    operation.setdefault("parameters", []).append({"$ref": f"#/components/parameters/{name}"})
