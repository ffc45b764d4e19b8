"""What all operations share in the OpenAPI 3.1 document: errors, operation ids, authentication, examples."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework.serializers import BaseSerializer

from stoa_cp.domain.errors import ErrorCode

STATUSES_OF_SUCCESS = ("200", "201", "202")

Decorated = TypeVar("Decorated", bound=type[BaseSerializer[Any]])

DESCRIPTION = """\
Decides who may call which API: platform teams create **tenants**, tenants register **APIs**, applications
**subscribe** under a plan, an operator approves with a rate limit and a quota, **API keys** are issued and rotated,
the gateway asks about every call and reports the traffic, which comes back as **metrics**, and **webhooks** tell the
world what happened.

Every error has the same envelope and one of seven codes. Every answer carries `X-Request-Id` and, outside
`/v1/gateway/`, `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`.
"""

# The envelope that ``stoa_cp.rest.problems`` writes. By hand, as errors are not rendered by a serializer.
ERROR_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "details", "request_id"],
            "properties": {
                "code": {
                    "type": "string",
                    "enum": ErrorCode.values,
                },
                "message": {"type": "string"},
                "details": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["field", "message", "code"],
                        "properties": {
                            "field": {"type": "string", "description": "A dotted path, or empty."},
                            "message": {"type": "string"},
                            "code": {"type": "string"},
                        },
                    },
                },
                "details_omitted": {
                    "type": "integer",
                    "minimum": 1,
                    "description": "How many more details there are, if there are more than 20.",
                },
                "request_id": {"type": ["string", "null"]},
            },
        },
    },
}

# status → name of the shared response, its description, and the code and details of its example
ERRORS: Mapping[str, tuple[str, str, tuple[ErrorCode, list[dict[str, str]]]]] = {
    "400": (
        "ValidationError",
        "The request alone is wrong.",
        (
            ErrorCode.VALIDATION_ERROR,
            [{"field": "tier", "message": "Invalid tier value", "code": "invalid_choice"}],
        ),
    ),
    "401": (
        "Unauthorized",
        "No token, or one that does not verify.",
        (
            ErrorCode.UNAUTHORIZED,
            [{"field": "", "message": "The token has expired.", "code": "token_expired"}],
        ),
    ),
    "403": (
        "Forbidden",
        "Known here, but without the role.",
        (
            ErrorCode.FORBIDDEN,
            [{"field": "", "message": "Insufficient permissions", "code": "missing_role"}],
        ),
    ),
    "404": ("NotFound", "Nothing there that this caller may know of.", (ErrorCode.NOT_FOUND, [])),
    "409": (
        "Conflict",
        "It would be right in another state.",
        (
            ErrorCode.CONFLICT,
            [{"field": "name", "message": "A tenant of this name exists already.", "code": "duplicate"}],
        ),
    ),
    "406": (
        "NotAcceptable",
        "None of the media types of the Accept header.",
        (
            ErrorCode.VALIDATION_ERROR,
            [
                {
                    "field": "",
                    "message": "Could not satisfy the request Accept header.",
                    "code": "not_acceptable",
                }
            ],
        ),
    ),
    "413": (
        "TooLarge",
        "The body is larger than its path allows.",
        (
            ErrorCode.VALIDATION_ERROR,
            [{"field": "", "message": "The request body is too large.", "code": "too_large"}],
        ),
    ),
    "415": (
        "UnsupportedMediaType",
        "The body is not of a media type that is read here.",
        (
            ErrorCode.VALIDATION_ERROR,
            [
                {
                    "field": "",
                    "message": 'Unsupported media type "text/plain" in request.',
                    "code": "unsupported_media_type",
                }
            ],
        ),
    ),
    "429": ("RateLimited", "The hour's budget is spent; see Retry-After.", (ErrorCode.RATE_LIMITED, [])),
    "500": ("ServerError", "Our own fault; the cause is in the log.", (ErrorCode.INTERNAL_ERROR, [])),
    "503": (
        "Unavailable",
        "The database or the identity provider is away; see Retry-After.",
        (
            ErrorCode.INTERNAL_ERROR,
            [{"field": "", "message": "Try again in a moment.", "code": "unavailable"}],
        ),
    ),
}


VERBS = {
    "list": "list",
    "create": "create",
    "retrieve": "get",
    "partial_update": "update",
    "destroy": "delete",
}


class OperationSchema(AutoSchema):
    """Names operations by their path: ``tenants_apis_create``, ``tenants_apikeys_rotate``.

    Generated clients name their methods after these ids. drf-spectacular would make ``v1_tenants_apis_create`` with the
    version in it, and number those that collide.
    """

    def get_operation_id(self) -> str:
        nouns = [part.partition("{")[0] for part in self.path.removeprefix("/v1/").split("/")]
        verb = VERBS.get(getattr(self.view, "action", ""))
        if verb is None and self.method == "GET":
            verb = "get"
        # The path of every other action ends with its verb: …/subscriptions/{id}/approve.
        return "_".join(word for word in (*nouns, verb) if word).replace("-", "_")

    def get_description(self) -> str:  # type: ignore[override]  # the package has dropped the parameters
        return ""  # a view's docstring is for maintainers; summaries and field descriptions are for clients


class BearerTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # it registers itself
    """The security scheme of operations that take a bearer token of the identity provider (RFC 6750)."""

    target_class = "stoa_cp.rest.api_call.ApiCallAuthentication"
    name = "bearerAuth"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def examples(*, request: Any = None, response: Any = None) -> Callable[[Decorated], Decorated]:
    """Decorate a serializer with an example of the body that a client sends, and of the one that it receives."""
    listed = []
    if request is not None:
        listed.append(OpenApiExample("Request", value=request, request_only=True))
    if response is not None:
        listed.append(OpenApiExample("Response", value=response, response_only=True, status_codes=STATUSES_OF_SUCCESS))
    decorate: Callable[[Decorated], Decorated] = extend_schema_serializer(examples=listed)
    return decorate


def add_shared_responses(result: dict[str, Any], **_context: Any) -> dict[str, Any]:
    """Add the shared error responses to every operation (a drf-spectacular postprocessing hook)."""
    result["info"]["description"] = DESCRIPTION
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Error"] = dict(ERROR_SCHEMA)
    components["responses"] = {
        name: _error_response(description, example) for name, description, example in ERRORS.values()
    }
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            for status in _statuses(path, method):
                name = ERRORS[status][0]
                operation["responses"].setdefault(status, {"$ref": f"#/components/responses/{name}"})
    return result


def _statuses(path: str, method: str) -> list[str]:
    # 429 and 503 come from the middleware, the others from the write path: views do not name them one by one.
    statuses = {"400", "401", "403", "406", "413", "429", "500", "503"}
    if "{" in path:
        statuses.add("404")
    if method in ("post", "patch", "delete"):
        statuses |= {"409", "415"}
    return sorted(statuses)


def _error_response(description: str, example: tuple[ErrorCode, list[dict[str, str]]]) -> dict[str, Any]:
    code, details = example
    error = {
        "code": str(code),
        "message": str(code.label),
        "details": details,
        "request_id": "5b0e7c1c-98f5-4c4c-8b6c-6c2e4a3f0d11",
    }
    media = {"schema": {"$ref": "#/components/schemas/Error"}, "example": {"error": error}}
    return {"description": description, "content": {"application/json": media}}
