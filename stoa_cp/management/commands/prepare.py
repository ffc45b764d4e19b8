"""The command that each release runs once, before its processes start."""

import os
import sys
from argparse import ArgumentParser
from time import sleep
from typing import Any

from celery import current_app
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import Tags
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from psycopg.errors import LockNotAvailable

from stoa_cp.db.maintenance import drop_unfinished_indexes, only_preparation
from stoa_cp.db.runtime_role import UnsafeRole, prepare_runtime_role
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.jobs.broker import is_queue_ready, uses_postgres
from stoa_cp.operators.accounts import create_superuser

# Not an option: the command line is visible to every user of the machine.
PASSWORD_VARIABLE = "STOA_OPERATOR_PASSWORD"  # noqa: S105 - the name of a variable
ROLE_PASSWORD_VARIABLE = "STOA_RUNTIME_PASSWORD"  # noqa: S105 - as above
# A migration that waits for a table lets the service work for PAUSE_SECONDS between two attempts of 2 s each. 30 times
# are 3.5 minutes: longer than any statement of the service, or than a dump takes for one table of usual size.
ATTEMPTS, PAUSE_SECONDS = 30, 5.0
# The exit status of --check if something is to be done; 1 is an error.
TO_DO = 2


class Command(BaseCommand):
    """Apply the migrations, install the queue; create the first operator and the runtime role if they are named.

    One at a time: a second one that starts meanwhile waits, and finds everything done.
    """

    help = "Apply migrations and install the broker's queue; safe to repeat."
    # The others load all views; the processes that start afterwards do that anyway.
    requires_system_checks = [Tags.security]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help=f"only say what is to be done; exit status {TO_DO} if anything is, else 0",
        )
        parser.add_argument(
            "--operator",
            metavar="NAME",
            help=f"also create this superuser unless there is one; its password is read from {PASSWORD_VARIABLE}",
        )
        parser.add_argument(
            "--runtime-role",
            metavar="NAME",
            help="also give this database role what web, workers and beat need, and nothing more; it is created unless"
            f" there is one, with the password of {ROLE_PASSWORD_VARIABLE}",
        )

    def handle(self, *, operator: str | None, runtime_role: str | None, **options: Any) -> None:
        if settings.STOA_DB_POOLED:
            raise CommandError("prepare needs PostgreSQL itself: set STOA_DB_POOLED=false, and its address.")
        if options["check"]:
            self._check()
            return
        with only_preparation():
            for name in drop_unfinished_indexes():
                self.stdout.write(f"Dropped {name}, an index that was not finished.")
            self._migrate(options["verbosity"])
            call_command("prepare_broker", stdout=self.stdout)
            if operator:
                self._create_operator(operator)
            if runtime_role:
                self._prepare_role(runtime_role)

    def _check(self) -> None:
        """List what is to be done, and end with TO_DO if there is anything."""
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        todo = [f"Apply {migration}." for migration, _is_backwards in plan]
        if uses_postgres(current_app.conf.broker_url) and not is_queue_ready():
            todo.append("Install the queue.")
        self.stdout.write("\n".join(todo) or "Nothing is to be done.")
        if todo:
            sys.exit(TO_DO)

    def _migrate(self, verbosity: int) -> None:
        """Migrate; start again after a lock time-out. What has been applied by then stays applied."""
        for attempts_left in reversed(range(ATTEMPTS)):
            try:
                call_command("migrate", interactive=False, verbosity=verbosity, stdout=self.stdout)
            except OperationalError as error:
                if not attempts_left or not isinstance(error.__cause__, LockNotAvailable):
                    raise
                self.stdout.write("A table is in use. Trying again.")
                sleep(PAUSE_SECONDS)
            else:
                return

    def _prepare_role(self, name: str) -> None:
        try:
            prepare_runtime_role(name, os.environ.get(ROLE_PASSWORD_VARIABLE, ""))
        except (UnsafeRole, DatabaseError) as refusal:
            raise CommandError(f"The runtime role is not ready: {str(refusal).strip()}") from refusal
        self.stdout.write(f"The runtime role {name} is ready.")

    def _create_operator(self, username: str) -> None:
        users = get_user_model().objects
        if users.filter(username=username).exists():
            return
        if not settings.STOA_LOCAL_LOGIN:
            raise CommandError("Passwords are switched off: set STOA_LOCAL_LOGIN=true, or leave --operator out.")
        password = os.environ.get(PASSWORD_VARIABLE)
        if not password:
            raise CommandError(f"{PASSWORD_VARIABLE} is not set.")
        try:
            create_superuser(username, password, by=SYSTEM)
        except ValidationError as refusal:
            raise CommandError(" ".join(refusal.messages)) from refusal
        self.stdout.write(f"The operator {username} was created.")
