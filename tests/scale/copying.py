"""Writes rows by COPY, in portions, with a progress bar."""

import sys
from collections.abc import Iterable, Sequence
from itertools import islice

from django.db import connection, models, transaction
from tqdm import tqdm

# Rows of one transaction. PostgreSQL keeps the checks of deferred foreign keys in memory until the commit.
PORTION = 50_000
# A portion takes seconds on a busy machine; the service's own time-out is for requests.
NO_TIMEOUT = "SET statement_timeout = 0"


def copy(
    model: type[models.Model], columns: Sequence[str], rows: Iterable[Sequence[object]], total: int | None = None
) -> None:
    """Write ``rows`` of ``columns``, which are names of attributes: ``tenant_id``, not ``tenant``. JSON is text.

    The other columns get what a saved model would have: their defaults, and version 1. Raises TypeError if a column
    has no default and may not be NULL.
    """
    constants = _constants(model, columns)
    names = [_field(model, name).column for name in (*columns, *constants)]
    quoted = ", ".join(map(connection.ops.quote_name, names))
    statement = f"COPY {connection.ops.quote_name(model._meta.db_table)} ({quoted}) FROM STDIN"
    rest = tuple(constants.values())
    waiting = iter(rows)
    # Shown in a terminal only, as those of the management commands.
    with tqdm(total=total, desc=str(model._meta.verbose_name_plural), unit="", disable=None, file=sys.stderr) as bar:
        while portion := list(islice(waiting, PORTION)):
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(NO_TIMEOUT)
                with cursor.copy(statement) as target:
                    for row in portion:
                        target.write_row((*row, *rest))
            bar.update(len(portion))


def _constants(model: type[models.Model], columns: Sequence[str]) -> dict[str, object]:
    constants: dict[str, object] = {}
    for field in model._meta.concrete_fields:
        is_made_by_the_database = field.has_db_default() or isinstance(field, models.BigAutoField)
        if field.attname in columns or is_made_by_the_database or (field.null and not field.has_default()):
            continue
        if field.attname == "version":
            constants["version"] = 1
        elif field.has_default():
            constants[field.attname] = field.get_default()
        elif field.blank and isinstance(field, models.CharField | models.TextField):
            constants[field.attname] = ""
        else:
            raise TypeError(f"{model.__name__}.{field.attname} has no default: name it among the columns")
    return constants


def _field(model: type[models.Model], attname: str) -> "models.Field[object, object]":
    return next(field for field in model._meta.concrete_fields if field.attname == attname)
