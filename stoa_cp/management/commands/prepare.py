"""The command that each release runs once, before its processes start."""

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import Tags
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from stoa_cp.db.runtime_role import UnsafeRole, prepare_runtime_role
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.operators.accounts import create_superuser

# Not an option: the command line is visible to every user of the machine.
PASSWORD_VARIABLE = "STOA_OPERATOR_PASSWORD"  # noqa: S105 - the name of a variable
ROLE_PASSWORD_VARIABLE = "STOA_RUNTIME_PASSWORD"  # noqa: S105 - as above


class Command(BaseCommand):
    """Apply the migrations, install the queue; create the first operator and the runtime role if they are named."""

    help = "Apply migrations and install the broker's queue; safe to repeat."
    # The others load all views; the processes that start afterwards do that anyway.
    requires_system_checks = [Tags.security]

    def add_arguments(self, parser: ArgumentParser) -> None:
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

    def handle(self, *, operator: str | None, runtime_role: str | None, verbosity: int, **_options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=verbosity, stdout=self.stdout)
        call_command("prepare_broker", stdout=self.stdout)
        if operator:
            self._create_operator(operator)
        if runtime_role:
            self._prepare_role(runtime_role)

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
