"""Runs management commands as a script would."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command


def run(name: str, *arguments: str) -> list[str]:
    """Return the lines that the command printed. Raises CommandError."""
    printed = StringIO()
    call_command(name, *arguments, stdout=printed, stderr=printed)
    return printed.getvalue().splitlines()


def refusal_of_command(name: str, *arguments: str) -> str:
    """Return the sentence with which the command fails."""
    with pytest.raises(CommandError) as failure:
        run(name, *arguments)
    return str(failure.value)
