"""``manage.py prepare``: one at a time, with time-outs of its own, and ``--check``."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from psycopg import sql

from stoa_cp.db.maintenance import TIME_OUTS, drop_unfinished_indexes, only_preparation
from stoa_cp.devserver.grants import Grants
from stoa_cp.management.commands import prepare
from tests.databases import database_url
from tests.faults import processes
from tests.races import at_once
from tests.security.installation import environment, manage

SECONDS = 240  # for three preparations side by side on a loaded machine
SHOW = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"


@pytest.fixture
def empty_database(realm: Grants) -> Iterator[Mapping[str, str]]:
    """The environment for a database with nothing in it."""
    name = f"prepare_{uuid4().hex[:12]}"
    with psycopg.connect(database_url(), autocommit=True) as server, tempfile.TemporaryDirectory() as folder:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield environment(urlsplit(database_url())._replace(path=f"/{name}").geturl(), realm, folder)
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.django_db
def test_three_at_once_prepare_once(empty_database: Mapping[str, str]) -> None:
    to_do = manage(empty_database, "prepare", "--check")
    assert to_do.returncode == prepare.TO_DO
    assert "Apply stoa_cp.0001_initial." in to_do.stdout
    assert "Install the queue." in to_do.stdout

    command = [sys.executable, "manage.py", "prepare", "--verbosity", "0"]
    running = [
        subprocess.Popen(
            command, cwd=processes.ROOT, env=empty_database, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _time in range(3)
    ]
    printed = [process.communicate(timeout=SECONDS) for process in running]

    assert [process.returncode for process in running] == [0, 0, 0], printed
    done = manage(empty_database, "prepare", "--check")
    assert (done.returncode, done.stdout) == (0, "Nothing is to be done.\n")


@pytest.mark.django_db(transaction=True)
def test_of_two_the_second_waits() -> None:
    inside: list[int] = []

    def prepare_and_count() -> int:
        with only_preparation(), connection.cursor() as cursor:
            inside.append(1)
            cursor.execute("SELECT pg_sleep(0.3)")
            count = len(inside)
            inside.pop()
        return count

    assert at_once(prepare_and_count, prepare_and_count) == [1, 1]


@pytest.mark.django_db(transaction=True)
def test_the_time_outs_are_for_migrations_and_end_with_the_preparation() -> None:
    with connection.cursor() as cursor:
        with only_preparation():
            cursor.execute(SHOW)
            assert cursor.fetchone() == (TIME_OUTS["statement_timeout"], TIME_OUTS["lock_timeout"])
            cursor.execute(f"{SHOW} /* CONCURRENTLY */")
            assert cursor.fetchone() == ("0", "0")
            cursor.execute(SHOW)
            assert cursor.fetchone() == ("0", TIME_OUTS["lock_timeout"])
        cursor.execute(SHOW)
        assert cursor.fetchone() == ("10s", "2s")


@pytest.mark.django_db(transaction=True)
def test_an_index_that_was_not_finished_is_dropped() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE doubled AS SELECT 1 AS number FROM generate_series(1, 2)")
        try:
            with pytest.raises(Exception, match="doubled_index"):
                cursor.execute("CREATE UNIQUE INDEX CONCURRENTLY doubled_index ON doubled (number)")
            assert drop_unfinished_indexes() == ["doubled_index"]
            assert drop_unfinished_indexes() == []
        finally:
            cursor.execute("DROP TABLE doubled")


@pytest.mark.django_db(transaction=True)
def test_a_table_that_is_in_use_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that changes a table, which another session holds for the first attempt."""
    monkeypatch.setattr(prepare, "PAUSE_SECONDS", 0.0)
    attempts: list[str] = []
    url = database_url()

    def change_table(*_arguments: Any, **_options: Any) -> None:
        attempts.append("once")
        with psycopg.connect(url) as other, connection.cursor() as cursor:
            if len(attempts) == 1:
                other.execute("LOCK stoa_cp_counter")
            cursor.execute("ALTER TABLE stoa_cp_counter SET (fillfactor = 100)")

    monkeypatch.setattr(prepare, "call_command", change_table)
    printed = StringIO()
    with only_preparation():
        prepare.Command(stdout=printed)._migrate(verbosity=0)

    assert len(attempts) == 2
    assert "Trying again" in printed.getvalue()
    monkeypatch.setattr(prepare, "ATTEMPTS", 1)
    attempts.clear()
    with only_preparation(), pytest.raises(OperationalError, match="lock timeout"):
        prepare.Command(stdout=printed)._migrate(verbosity=0)


def test_it_needs_a_session_of_its_own(settings: Any) -> None:
    settings.STOA_DB_POOLED = True
    with pytest.raises(CommandError, match="STOA_DB_POOLED=false"):
        call_command("prepare", stdout=StringIO())
