"""The migration operations that let a table notify the caches of its changes."""

from django.db import migrations


def announce_changes(table: str, *, owner: str, changes: str = "INSERT OR UPDATE OR DELETE") -> migrations.RunSQL:
    """Return the operation that gives ``table`` its triggers; ``owner`` is the column with the id of a row's owner.

    ``changes`` narrows the triggers to what changes a decision: PostgreSQL sends one notification per changed row, and
    every process with a lease receives it. TRUNCATE fires no row triggers, so it has one of its own.
    """
    return migrations.RunSQL(
        f"""
        CREATE TRIGGER {table}_announces_change AFTER {changes} ON {table}
            FOR EACH ROW EXECUTE FUNCTION stoa_cp_announce_change('{owner}');
        CREATE TRIGGER {table}_announces_truncation AFTER TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION stoa_cp_announce_change();
        """,
        f"""
        DROP TRIGGER {table}_announces_truncation ON {table};
        DROP TRIGGER {table}_announces_change ON {table};
        """,
    )


def announce_other_changes(table: str, *, owner: str, changes: str, before: str) -> migrations.RunSQL:
    """Return the operation that gives ``table`` other ``changes`` to announce than ``before``.

    In one statement, so that no change between two statements is missed (PostgreSQL 14 and later).
    """
    statement = """
        CREATE OR REPLACE TRIGGER {table}_announces_change AFTER {changes} ON {table}
            FOR EACH ROW EXECUTE FUNCTION stoa_cp_announce_change('{owner}');
        """
    return migrations.RunSQL(
        statement.format(table=table, changes=changes, owner=owner),
        statement.format(table=table, changes=before, owner=owner),
    )
