"""Public ids: a prefix for the kind of row, and 80 random bits.

They are the primary keys. A second, hidden key would have to be translated for every foreign key and log line.
"""

import re
from collections.abc import Sequence
from secrets import token_bytes
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32, lower case: no i, l, o, u to misread
# The letter of each value of a random byte. 256 is 8 × 32, so every letter is equally likely.
LETTERS = ALPHABET.encode() * 8
BODY_LENGTH = 16  # × 5 bits = 80 bits: too many to try, and no two alike among a million rows
LENGTH = 4 + BODY_LENGTH


def new_id(prefix: str) -> str:
    """Return a fresh id such as ``ten-0c8h1vbn5r2k7wxz``."""
    return f"{prefix}-{token_bytes(BODY_LENGTH).translate(LETTERS).decode()}"


def id_pattern(prefix: str) -> str:
    """Return the regular expression that an id with ``prefix`` matches in full."""
    return f"{prefix}-[{ALPHABET}]{{{BODY_LENGTH}}}"


def is_id(value: object, prefix: str) -> bool:
    """Return True if ``value`` has the form of an id. Sends no query, so a misspelled id costs none."""
    return isinstance(value, str) and re.fullmatch(id_pattern(prefix), value, re.ASCII) is not None


class IdField(models.CharField):  # type: ignore[type-arg]  # Django's own class takes no parameters at run time
    """A primary key that is the public id. Its collation "C" compares bytes: a small and fast index."""

    def __init__(self, *, prefix: str, **kwargs: Any) -> None:
        self.prefix = prefix
        kwargs |= {"primary_key": True, "max_length": LENGTH, "db_collation": "C", "editable": False}
        super().__init__(**kwargs)

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, path, args, kwargs = super().deconstruct()
        # __init__ sets them: migrations need not repeat them.
        for implied in ("primary_key", "max_length", "db_collation", "editable"):
            kwargs.pop(implied, None)
        return name, path, args, kwargs | {"prefix": self.prefix}

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        # If the type began with "varchar", Django would add an index for LIKE. Under "C" the first serves LIKE, too.
        return f"character varying({LENGTH})"

    def get_default(self) -> str:
        return new_id(self.prefix)

    def has_default(self) -> bool:
        return True
