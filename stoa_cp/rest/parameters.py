"""Reads single query parameters, as strictly as bodies are read, and describes them in the OpenAPI document."""

from collections.abc import Collection
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from rest_framework.request import Request

from stoa_cp.domain.errors import InvalidField

MAX_DIGITS = 9  # fits 32 bits


def check_query_parameters(request: HttpRequest | Request, known: Collection[str]) -> None:
    """Refuse any query parameter that is not in ``known``, or is given twice. Raises InvalidField.

    A misspelled ``?dry_run=true`` would otherwise carry the write out, a misspelled filter would return the whole list,
    and of two values one would be ignored.
    """
    for name, values in request.GET.lists():
        if name not in known:
            sentence = (
                _("Unknown parameter; known are: %s.") % ", ".join(sorted(known)) if known else _("Unknown parameter.")
            )
            raise InvalidField(name[:100], sentence, code="unknown_field")
        if len(values) > 1:
            raise InvalidField(name[:100], _("This parameter is given twice."))


def flag_parameter(request: HttpRequest | Request, name: str) -> bool:
    """Return ``?name=true`` as a boolean, False without it. Raises InvalidField for anything else than true, false."""
    text = request.GET.get(name, "false")
    if text not in ("true", "false"):
        raise InvalidField(name, _("This must be true or false."))
    return text == "true"


def positive_parameter(request: Request, name: str, default: int) -> int:
    """Return a query parameter as a number ≥ 1. Raises InvalidField for anything but ASCII digits."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS and int(text) > 0):
        raise InvalidField(name, _("This must be a whole number from 1."))
    return int(text)


def query_parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    """Return an optional query parameter as OpenAPI 3.1 describes it (Parameter Object)."""
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}
