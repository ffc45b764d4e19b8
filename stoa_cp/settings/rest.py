"""Settings of Django REST framework."""

from typing import Any

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["stoa_cp.rest.api_call.ApiCallAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["stoa_cp.identity.permissions.HasRight"],
    "DEFAULT_PARSER_CLASSES": ["stoa_cp.rest.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "stoa_cp.rest.pagination.PagePagination",
    "DEFAULT_SCHEMA_CLASS": "stoa_cp.openapi.schema.OperationSchema",
    "EXCEPTION_HANDLER": "stoa_cp.rest.problems.handle_exception",
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%SZ",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
    "DEFAULT_METADATA_CLASS": None,
}
