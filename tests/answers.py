"""Reads from answers of the REST API what tests compare."""

from typing import Any


def refusal_of(response: Any) -> tuple[int, str, str, str]:
    """Return a refusal's HTTP status and code, and the field and code of its first detail ("" without one)."""
    error = response.json()["error"]
    first = (error["details"] or [{"field": "", "code": ""}])[0]
    return response.status_code, error["code"], first["field"], first["code"]


def refused_fields(response: Any) -> dict[str, str]:
    """Return the code of each refused field."""
    return {detail["field"]: detail["code"] for detail in response.json()["error"]["details"]}


NOT_FOUND = (404, "not_found", "", "")
MISSING_ROLE = (403, "forbidden", "", "missing_role")
WRONG_STATE = (409, "conflict", "", "wrong_state")


def invalid(field: str, code: str = "invalid") -> tuple[int, str, str, str]:
    """Return the refusal of one field of the body."""
    return 400, "validation_error", field, code


def duplicate(field: str) -> tuple[int, str, str, str]:
    """Return the refusal of a value that another live row holds."""
    return 409, "conflict", field, "duplicate"
