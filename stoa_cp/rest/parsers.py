"""A strict JSON parser: it refuses what RFC 8259 leaves open (§§4, 8, 9) and what PostgreSQL cannot store."""

import json
import re
from collections.abc import Mapping
from typing import IO, Any

from django.utils.translation import gettext as _
from rest_framework.parsers import BaseParser

from stoa_cp.domain.errors import InvalidField

# Bounds the recursion of everything that walks a body afterwards. Imported OpenAPI documents are the deepest ones.
MAX_DEPTH = 32
MAX_INTEGER_DIGITS = 19  # what a bigint can hold; far below where int() becomes slow
# NUL cannot be stored by PostgreSQL; half a surrogate pair cannot be encoded.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class StrictJSONParser(BaseParser):
    """Parses ``application/json`` in UTF-8: no duplicate keys, no NaN, no NUL, no lone surrogates, depth ≤ 32."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        # Django keeps what it reads here, and the digest for an Idempotency-Key needs the same bytes.
        return parse_json(parser_context["request"].body if parser_context else stream.read())


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON document. Raises InvalidField with a sentence that says what is wrong."""
    try:
        value = _decoder.decode(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise InvalidField("", _("The body is not UTF-8.")) from None
    except json.JSONDecodeError as error:
        sentence = _("The body is not JSON: line %(line)d, column %(column)d.")
        raise InvalidField("", sentence % {"line": error.lineno, "column": error.colno}) from None
    except RecursionError:
        raise InvalidField("", _("The body is nested too deeply.")) from None
    check_storable(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        # One pass: counting each name anew took 11 s of CPU for 28,000 names, which fit into a body.
        seen: set[str] = set()
        for name, _value in pairs:
            if name in seen:
                raise InvalidField(name[:100], _("This field appears twice."))
            seen.add(name)
    return members


def _refuse_constant(name: str) -> None:
    raise InvalidField("", _("%(name)s is not JSON.") % {"name": name})


def _bounded_integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_INTEGER_DIGITS:
        raise InvalidField("", _("A number in the body is too large."))
    return int(digits)


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=_bounded_integer)


def check_storable(value: Any, *, depth: int = 0) -> None:
    """Raise InvalidField for a value that holds NUL or half a surrogate pair, or is nested more than 32 deep."""
    if depth > MAX_DEPTH:
        raise InvalidField("", _("The body is nested too deeply."))
    match value:
        case str() if UNSTORABLE.search(value):
            raise InvalidField("", _("The body contains a character that cannot be stored."))
        case dict():
            for name, member in value.items():
                check_storable(name, depth=depth)
                check_storable(member, depth=depth + 1)
        case list():
            for member in value:
                check_storable(member, depth=depth + 1)
