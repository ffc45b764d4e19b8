"""Reads an OpenAPI 3.x document as the fields of a new API: its title, version, first server and summary."""

import re
from collections.abc import Mapping
from typing import Any

from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _
from rest_framework.serializers import ValidationError

from catalog.serializers import NewApiSerializer
from catalog.services.apis import NewApi
from stoa_cp.domain.errors import InvalidField
from stoa_cp.net.urls import MAX_URL_LENGTH

OPENAPI_VERSION = r"3\.[0-9]{1,3}\.[0-9]{1,3}(?:-[0-9A-Za-z.-]{1,20})?"
VARIABLE = re.compile(r"\{([^{}]+)\}")
MAX_TITLE = 100  # characters, the width of the column for an API's name; longer titles are refused
MAX_DESCRIPTION = 2_000  # characters, the column's limit; longer descriptions are cut, not refused
# The document's field for each field of an API: a refusal names what the client wrote.
ORIGINS = {
    "name": "info.title",
    "version": "info.version",
    "description": "info.summary",
    "upstream_url": "servers.0.url",
    "path": "path",
}


def read_registration(document: Any, overrides: Mapping[str, str]) -> NewApi:
    """Return the fields of the API that ``document`` describes.

    ``overrides`` may hold ``path`` and ``upstream_url``, which replace those of the document. Without a path it is made
    from the title. Raises InvalidField or ValidationError, which name the field of the document.
    """
    if not isinstance(document, Mapping):
        raise InvalidField("", _("The body must be an OpenAPI document."))
    version = document.get("openapi")
    if not isinstance(version, str) or not re.fullmatch(OPENAPI_VERSION, version, re.ASCII):
        raise InvalidField("openapi", _("Only documents of OpenAPI 3 can be imported."))
    # The serializer of a registration: an import passes the same rules.
    serializer = NewApiSerializer(data=_fields_of(document) | dict(overrides))
    try:
        serializer.is_valid(raise_exception=True)
    except ValidationError as error:
        raise ValidationError(_by_origin(error.detail, overrides)) from error
    return NewApi(**serializer.validated_data)


def _fields_of(document: Mapping[str, Any]) -> dict[str, Any]:
    info = document.get("info")
    if not isinstance(info, Mapping):
        raise InvalidField("info", _("This field is required."), code="required")
    title = info.get("title")
    fields = {
        "name": title,
        "version": info.get("version"),
        "description": _description_of(info),
        "upstream_url": _first_server(document.get("servers")),
        "path": _path_of(title),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _path_of(title: Any) -> str | None:
    # Cut before it is normalised: Unicode sorts combining marks, and 84,000 of them, 168 KB, took 16 s.
    slug = slugify(title[:MAX_TITLE]) if isinstance(title, str) else ""
    return f"/{slug}" if slug else None


def _description_of(info: Mapping[str, Any]) -> Any:
    """Return the summary, or the description in a document before OpenAPI 3.1, which has no summary."""
    text = info.get("summary") or info.get("description")
    return text[:MAX_DESCRIPTION] if isinstance(text, str) else text


def _first_server(servers: Any) -> Any:
    """Return the first server's URL with its variables at their defaults (OpenAPI 3.1.1 §4.7.5)."""
    if not isinstance(servers, list) or not servers or not isinstance(servers[0], Mapping):
        return None
    url, variables = servers[0].get("url"), servers[0].get("variables")
    if not isinstance(url, str) or not isinstance(variables, Mapping):
        return url
    return _with_defaults(url, variables)


def _with_defaults(url: str, variables: Mapping[str, Any]) -> str:
    """Replace each variable once: a default is text, in which no further variables are looked for."""

    def default_of(name: re.Match[str]) -> str:
        variable = variables.get(name[1])
        default = variable.get("default") if isinstance(variable, Mapping) else None
        # One character more than a URL may have, so that what is cut is refused.
        return default[: MAX_URL_LENGTH + 1] if isinstance(default, str) else name[0]

    # 2,048 characters hold at most 682 variables, and so the result at most 1.4 million characters.
    return url if len(url) > MAX_URL_LENGTH else VARIABLE.sub(default_of, url)


def _by_origin(refused: Any, overrides: Mapping[str, str]) -> dict[str, Any]:
    return {name if name in overrides else ORIGINS.get(name, name): reasons for name, reasons in refused.items()}
