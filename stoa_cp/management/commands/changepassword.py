"""Replaces Django's command: it leaves no event, and the sessions of the account in the list."""

from argparse import ArgumentParser
from getpass import getpass
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from stoa_cp.domain.actors import SYSTEM
from stoa_cp.management.base import answer_to
from stoa_cp.operators.accounts import is_of_provider, set_password


class Command(BaseCommand):
    """Set the password of an operator."""

    help = "Set the password of an operator; its sessions end."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")

    def handle(self, *, username: str, **_options: Any) -> None:
        user = get_user_model().objects.filter(username=username).first()
        if user is None or is_of_provider(user):
            raise CommandError(f"There is no operator {username} with a password.")
        password = answer_to("New password: ", getpass)
        if password != answer_to("The same again: ", getpass):
            raise CommandError("The two passwords differ.")
        try:
            set_password(user, password, by=SYSTEM)
        except ValidationError as refusal:
            raise CommandError(" ".join(refusal.messages)) from refusal
        self.stdout.write(f"{username} has a new password.")
