"""The command that writes the OpenAPI document into the source tree, or checks that it is up to date."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import translation
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator

from stoa_cp.openapi.views import OPENAPI_PATH


class Command(BaseCommand):
    """Write the snapshot of the document; with ``--check``, fail if it differs from what the views generate.

    The document is committed, so that a change of the public API is seen in a review.
    """

    help = "Write stoa_cp/openapi/openapi.json, the document that is served at /openapi.json."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing, fail if the file is out of date")

    def handle(self, *args: Any, **options: Any) -> None:
        document = generate()
        if not options["check"]:
            OPENAPI_PATH.write_text(document)
        elif not OPENAPI_PATH.exists() or OPENAPI_PATH.read_text() != document:
            raise CommandError("The snapshot is out of date: run manage.py openapi and review the difference.")


def generate() -> str:
    """Return the document as JSON text. Raises CommandError if drf-spectacular has a warning: it guessed something."""
    # In English, whatever the language of the process: the snapshot must be the same on every machine.
    with GENERATOR_STATS.silence(), translation.override("en"):
        generator = SchemaGenerator()  # type: ignore[no-untyped-call]  # the package's annotations stop here
        document = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    if GENERATOR_STATS:
        GENERATOR_STATS.emit_summary()
        raise CommandError("The OpenAPI document has warnings.")
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
