"""Translates the violation of a named database constraint into the refusal that it stands for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from django.db import IntegrityError, transaction
from psycopg.errors import Error as PostgresError

from stoa_cp.domain.errors import DomainError


class Duplicate(DomainError):
    """Another live row holds a value that must be unique."""

    detail_code = "duplicate"


@contextmanager
def translate_violations(refusals: Mapping[str, DomainError]) -> Iterator[None]:
    """Run the block in a savepoint; raise ``refusals[constraint]`` if it violates a constraint of that name.

    Any other violation is a bug and passes through.
    """
    try:
        # A savepoint, because PostgreSQL refuses every statement after an error until it is rolled back.
        with transaction.atomic():
            yield
    except IntegrityError as error:
        cause = error.__cause__
        name = cause.diag.constraint_name if isinstance(cause, PostgresError) else None
        if name is None or name not in refusals:
            raise
        raise refusals[name] from error
