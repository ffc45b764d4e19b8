"""Judges the operations of one migration; imported when Django is set up."""

from collections.abc import Iterator, Mapping, Sequence

from django.db.migrations import Migration, operations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import CharField, Field, ManyToManyField
from django.db.models.fields import NOT_PROVIDED

from tests.house.safe_migrations import unsafe_sql

REMOVED = "takes away what an older release uses: first from Django's state, a release later from the database."
# By exact type: AddIndexConcurrently and AddConstraintNotValid are subclasses.
LOCKING: Mapping[type[Operation], str] = {
    operations.AddIndex: "AddIndex locks writers out: AddIndexConcurrently, and atomic = False.",
    operations.AddConstraint: "AddConstraint checks all rows under a lock: AddConstraintNotValid, ValidateConstraint.",
    operations.RemoveField: f"RemoveField {REMOVED}",
    operations.DeleteModel: f"DeleteModel {REMOVED}",
    operations.RenameField: f"RenameField {REMOVED}",
    operations.RenameModel: f"RenameModel {REMOVED}",
    operations.AlterModelTable: f"AlterModelTable {REMOVED}",
}


def unsafe_operations(migration: Migration, state: ProjectState) -> Iterator[str]:
    """Yield what is wrong with each operation; ``state`` is that before the migration."""
    created: set[str] = set()
    for operation in migration.operations:
        yield from _unsafe(operation, migration.app_label, state, created)
        if isinstance(operation, operations.CreateModel):
            created.add(operation.name_lower)
        operation.state_forwards(migration.app_label, state)


def _unsafe(operation: Operation, app: str, state: ProjectState, created: set[str]) -> Iterator[str]:
    """Yield what is wrong with it. Tables ``created`` in the same migration are empty, and nothing uses them."""
    if isinstance(operation, operations.SeparateDatabaseAndState):
        for part in operation.database_operations:
            yield from _unsafe(part, app, state, created)
        return
    table = getattr(operation, "model_name_lower", None) or getattr(operation, "name_lower", "")
    if table in created:
        return
    match operation:
        case operations.RunSQL():
            yield from _unsafe_texts(operation)
        case operations.RunPython() if operation.reverse_code is None:
            yield "RunPython has no way back: give reverse_code."
        case operations.AddField():
            yield from _unsafe_column(table, operation.name, operation.field)
        case operations.AlterField():
            before = state.models[app, table].fields[operation.name]
            if _is_another_column(before, operation.field):
                yield f"AlterField changes the column {table}.{operation.name}: make a new column."
        case _ if type(operation) in LOCKING:
            yield f"{LOCKING[type(operation)]} ({table})"


def _unsafe_texts(operation: operations.RunSQL) -> Iterator[str]:
    if operation.reverse_sql is None:
        yield "RunSQL has no way back: give reverse_sql."
    texts = [operation.sql] if isinstance(operation.sql, str) else operation.sql
    for text in texts:
        yield from unsafe_sql(text if isinstance(text, str) else text[0])


def _unsafe_column(table: str, name: str, field: "Field[object, object]") -> Iterator[str]:
    if isinstance(field, ManyToManyField):
        return
    if not field.null and field.db_default is NOT_PROVIDED:
        yield f"AddField {table}.{name}: an older release inserts rows without it. Give null=True or db_default."
    if field.db_index or field.unique:
        yield f"AddField {table}.{name} builds an index under a lock: db_index=False, then AddIndexConcurrently."


def _is_another_column(before: "Field[object, object]", after: "Field[object, object]") -> bool:
    """Tell whether the columns differ; a varchar that only becomes longer is the same to PostgreSQL."""
    old, new = _in_the_database(before), _in_the_database(after)
    if isinstance(before, CharField) and isinstance(after, CharField) and after.max_length and before.max_length:
        is_longer = after.max_length >= before.max_length
        for options in (old[-1], new[-1]):
            options.pop("max_length")
        return old != new or not is_longer
    return old != new


def _in_the_database(field: "Field[object, object]") -> tuple[str, Sequence[object], dict[str, object]]:
    """Return what of a field makes its column."""
    _name, path, arguments, options = field.deconstruct()
    return path, arguments, {name: value for name, value in options.items() if name not in field.non_db_attrs}
