"""The base class of commands that call a service: the operator's name, checked options, and readable errors."""

import getpass
import os
import re
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rest_framework.exceptions import ValidationError
from rest_framework.serializers import BaseSerializer

from stoa_cp.domain.actors import Actor, operator
from stoa_cp.domain.errors import DomainError
from stoa_cp.rest.problems import problem_of

USERNAME = re.compile(r"[\w.@+-]{1,150}")  # Django's rule for user names; the event log shows the name


class OperatorCommand(BaseCommand):
    """A command that calls one service in an operator's name (``--as``). Subclasses implement ``act``.

    A refusal of the service or a serializer ends the command with its messages and status 1, without a traceback.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--as", dest="username", metavar="USER", type=_username, default=_os_user(), help="who acts, for the audit"
        )

    def handle(self, *, username: str, **options: Any) -> None:
        try:
            self.act(operator(username), options)
        except (DomainError, ValidationError) as refusal:
            raise CommandError("\n".join(_sentences(refusal))) from refusal

    def act(self, by: Actor, options: Mapping[str, Any]) -> None:
        """Call the service and print the result."""
        raise NotImplementedError


def answer_to(question: str, read: Callable[[str], str]) -> str:
    """Return the line that ``read`` (input or getpass) gets. Raises CommandError if there is none."""
    try:
        return read(question)
    except (EOFError, KeyboardInterrupt) as end:  # no terminal, as under cron, or Ctrl-D; Ctrl-C
        raise CommandError("No answer was typed. Nothing was changed.") from end


def body_of(options: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    """Return the options that are ``fields`` of the body and were given. Add these options with ``add_field``."""
    return {field: options[field] for field in fields if field in options}


def checked(serializer_class: type[BaseSerializer[Any]], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the validated body, by the serializer of the REST API: one set of rules. Raises ValidationError."""
    serializer = serializer_class(data=body)
    serializer.is_valid(raise_exception=True)
    fields: dict[str, Any] = serializer.validated_data
    return fields


def add_field(parser: ArgumentParser, name: str, **options: Any) -> None:
    """Add an option for a field of the body."""
    # SUPPRESS: an option that is left out is missing in the options, as a missing member of a JSON body. With None, it
    # could not be told from an explicit null.
    parser.add_argument(f"--{name.replace('_', '-')}", dest=name, default=SUPPRESS, **options)


def limit(text: str) -> int | None:
    """Parse a number of requests, or ``unlimited`` (None)."""
    return None if text == "unlimited" else int(text)


def _username(text: str) -> str:
    if not USERNAME.fullmatch(text):
        raise ArgumentTypeError("a user name has up to 150 letters, digits and @ . + - _")
    return text


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the user of a container may have no entry in /etc/passwd
        return f"uid-{os.getuid()}"


def _sentences(refusal: Exception) -> list[str]:
    problem = problem_of(refusal)
    details = problem.details if problem else ()
    lines = [f"{detail.field}: {detail.message}" if detail.field else detail.message for detail in details]
    return lines or [str(refusal)]
