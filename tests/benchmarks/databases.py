"""A PostgreSQL that waits for its disk, and in it the database of one run."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection, models

from stoa_cp.devserver.postgres import PostgresServer
from tests.sessions import end_other_sessions


@contextmanager
def durable_server() -> Iterator[None]:
    """Start a server as ``make run`` does, unless DATABASE_URL names one: the tests' own waits for no disk."""
    if "DATABASE_URL" in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="stoa-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # ours, and the server's account must pass through it
        server = PostgresServer(Path(folder) / "server", durable=True)
        try:
            server.start()
            os.environ["DATABASE_URL"] = server.url
            yield
        finally:
            server.destroy()


@contextmanager
def own_database(*naive: type[models.Model]) -> Iterator[None]:
    """Make a database with our tables and the naive ones, and drop it afterwards."""
    original = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        with connection.schema_editor() as editor:
            for model in naive:
                editor.create_model(model)
        yield
    finally:
        end_other_sessions()  # of processes that were killed: the server finds out when it next writes to them
        connection.creation.destroy_test_db(original, verbosity=0)


def execute(*statements: str) -> None:
    """Run statements that return nothing, each in a transaction of its own, however long they take."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for statement in statements:
            cursor.execute(statement)


def ask(query: str, *parameters: object) -> list[tuple[object, ...]]:
    """Return the rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        rows: list[tuple[object, ...]] = cursor.fetchall()
        return rows
