"""What drf-spectacular cannot read from the views: what any write can be asked, and how strict its body is read.

Each function is one of its postprocessing hooks: it changes the document and returns it.
"""

from collections.abc import Iterator
from typing import Any

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
    "IdempotencyKeyReused": {"description": "The Idempotency-Key was used with another body.", "content": ERROR},
}
EXPLAIN = "/explain"  # a POST because it takes a key, which no URL may hold; it changes nothing
UNGATED = "/v1/gateway/"  # machines that retry in their own way
MAKES, CHANGES = "201", ("200", "204")


def add_shared_parameters(result: dict[str, Any], **_context: Any) -> dict[str, Any]:
    """Add conditional requests, idempotency and dry runs to the operations that have them."""
    components = result["components"]
    components["parameters"], components["headers"] = PARAMETERS, HEADERS
    components["responses"] |= RESPONSES
    for path, method, operation in _operations(result):
        if path.startswith(UNGATED) or path.endswith(EXPLAIN):
            continue
        if method != "get":
            _describe_write(method, operation)
        elif path.endswith("}"):
            _describe_conditional_read(operation)
    return result


def refuse_unknown_fields(result: dict[str, Any], **_context: Any) -> dict[str, Any]:
    """Say of each body that other fields are refused, and of each resource that answers hold all of its fields."""
    schemas = result["components"]["schemas"]
    for name, schema in list(schemas.items()):
        if name.endswith("Request") and schema.get("type") == "object":
            schema["additionalProperties"] = False
            _require_whole(schemas, name.removesuffix("Request").removeprefix("Patched"))
    return result


def _require_whole(schemas: dict[str, Any], name: str) -> None:
    """Require all fields of a resource that is written and read, also where an answer adds what is shown once."""
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
    if MAKES in responses:
        responses[MAKES]["headers"] = {"Location": {"$ref": "#/components/headers/Location"}}
    elif any(status in responses for status in CHANGES):
        _add_parameter(operation, "IfMatch")
        responses["412"] = {"$ref": "#/components/responses/PreconditionFailed"}


def _add_parameter(operation: dict[str, Any], name: str) -> None:
    operation.setdefault("parameters", []).append({"$ref": f"#/components/parameters/{name}"})
