"""The command that writes a gateway's configuration."""

import os
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand

from apikeys.gateway.exporters import FORMATS, export_configuration
from apikeys.gateway.exporters.site import DEFAULT_LISTEN, LISTEN, describe_site
from catalog.services.gateways import TOKEN_PREFIX
from stoa_cp.crypto.credentials import is_well_formed

TOKEN_VARIABLE = "STOA_GATEWAY_TOKEN"  # noqa: S105 - a variable's name


class Command(BaseCommand):
    """Prints the configuration; with the gateway's token in it if STOA_GATEWAY_TOKEN holds one."""

    help = "Print a configuration that makes a proxy ask this control plane about every call."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=FORMATS, default="nginx", help="for which program (default: nginx)")
        parser.add_argument(
            "--listen", type=_listen, default=DEFAULT_LISTEN, help="[address:]port to serve (default: 8080)"
        )
        parser.add_argument(
            "--standalone", action="store_true", help="a whole file for nginx or Caddy, to start in a folder of its own"
        )

    def handle(self, *, format: str, listen: str, standalone: bool, **_options: Any) -> None:  # noqa: A002 - its name
        token = os.environ.get(TOKEN_VARIABLE, "")
        # Anything else could break out of the file's quotes.
        token = token if is_well_formed(token, TOKEN_PREFIX) else ""
        site = describe_site(listen=listen, is_standalone=standalone, token=token)
        self.stdout.write(export_configuration(format, site), ending="")


def _listen(text: str) -> str:
    if not LISTEN.fullmatch(text):
        raise ArgumentTypeError("an address is 8080, 127.0.0.1:8080 or [::1]:8080")
    return text
