"""Replaces Django's command: without a terminal it takes any password, and it leaves no event."""

from typing import Any

from django.contrib.auth.management.commands import createsuperuser
from django.core.management.base import CommandError


class Command(createsuperuser.Command):
    """Take Django's options, refuse, and name the command that creates operators."""

    help = "Not available: see prepare --operator."

    def handle(self, *_arguments: Any, **_options: Any) -> None:
        raise CommandError("Use: manage.py prepare --operator NAME (it reads STOA_OPERATOR_PASSWORD).")
