import pytest
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently
from django.db import migrations, models
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

from tests.house.migration_operations import unsafe_operations
from tests.house.safe_migrations import unsafe_sql
from tests.house.source import ROOT

INDEX = models.Index(fields=["name"], name="by_name")
CONSTRAINT = models.CheckConstraint(condition=models.Q(name="x"), name="named")
COLUMNS = [("id", models.BigAutoField(primary_key=True)), ("name", models.CharField(max_length=10))]


def findings(*operations: Operation) -> list[str]:
    state = ProjectState()
    state.add_model(ModelState("shop", "Item", COLUMNS))
    migration = migrations.Migration("0002_change", "shop")
    migration.operations = list(operations)
    return list(unsafe_operations(migration, state))


SAFE: list[Operation] = [
    AddIndexConcurrently("item", INDEX),
    AddConstraintNotValid("item", CONSTRAINT),
    migrations.AddField("item", "note", models.TextField(null=True)),
    migrations.AddField("item", "note", models.TextField(db_default="")),
    migrations.AlterField("item", "name", models.CharField(max_length=20)),
    migrations.AlterField("item", "name", models.CharField(max_length=10, verbose_name="its name")),
    migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField("item", "name")]),
    migrations.RunSQL("CREATE INDEX CONCURRENTLY by_name ON shop_item (name)", "DROP INDEX by_name"),
    migrations.RunSQL("ALTER TABLE shop_item ADD CONSTRAINT c CHECK (id > 0) NOT VALID", "SELECT 1"),
    migrations.RunPython(migrations.RunPython.noop, migrations.RunPython.noop),
]
UNSAFE: list[tuple[Operation, str]] = [
    (migrations.AddIndex("item", INDEX), "AddIndexConcurrently"),
    (migrations.AddConstraint("item", CONSTRAINT), "ValidateConstraint"),
    (migrations.AddField("item", "note", models.TextField(default="")), "db_default"),
    (migrations.AddField("item", "note", models.TextField(null=True, unique=True)), "index under a lock"),
    (migrations.AddField("item", "owner", models.ForeignKey("Item", models.PROTECT, null=True)), "index under a lock"),
    (migrations.AlterField("item", "name", models.CharField(max_length=5)), "make a new column"),
    (migrations.RemoveField("item", "name"), "older release"),
    (migrations.RenameField("item", "name", "title"), "older release"),
    (migrations.DeleteModel("Item"), "older release"),
    (migrations.SeparateDatabaseAndState([migrations.AddIndex("item", INDEX)]), "AddIndexConcurrently"),
    (migrations.RunSQL("create unique index by_name on shop_item (name)", "SELECT 1"), "CONCURRENTLY"),
    (migrations.RunSQL("SELECT 1"), "reverse_sql"),
    (migrations.RunPython(migrations.RunPython.noop), "reverse_code"),
]


@pytest.mark.parametrize("operation", SAFE)
def test_what_takes_no_long_lock_is_accepted(operation: Operation) -> None:
    assert findings(operation) == []


@pytest.mark.parametrize(("operation", "named"), UNSAFE)
def test_what_stops_others_is_named(operation: Operation, named: str) -> None:
    [finding] = findings(operation)
    assert named in finding


def test_a_table_of_the_same_migration_is_free() -> None:
    new = migrations.CreateModel("Box", COLUMNS)
    assert findings(new, migrations.AddIndex("box", INDEX), migrations.AddConstraint("box", CONSTRAINT)) == []


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE t ALTER COLUMN c SET NOT NULL",
        "ALTER TABLE t ALTER COLUMN c TYPE bigint",
        "ALTER TABLE t DROP COLUMN c",
        "ALTER TABLE t RENAME COLUMN c TO d",
        "DROP TABLE t",
    ],
)
def test_statements_are_read_too(statement: str) -> None:
    assert list(unsafe_sql(statement))


def test_the_product_keeps_the_rule() -> None:
    from tests.house import safe_migrations

    assert list(safe_migrations.broken_rules(ROOT)) == []
