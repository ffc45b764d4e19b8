"""The command that prints a gateway's configuration, or writes it to a file."""

import os
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apikeys.gateway.exporters import FORMATS, stream_configuration
from apikeys.gateway.exporters.site import CA_FILE, DEFAULT_LISTEN, LISTEN, describe_site
from catalog.authentication import load_gateway
from catalog.services.gateways import TOKEN_PREFIX
from stoa_cp.crypto.credentials import is_well_formed

TOKEN_VARIABLE = "STOA_GATEWAY_TOKEN"  # noqa: S105 - a variable's name


class Command(BaseCommand):
    """Prints or writes the configuration. It contains the gateway's token if STOA_GATEWAY_TOKEN holds one.

    Then it has the routes of the tenants that this gateway is bound to; without, those of all.
    """

    help = "Print or write a proxy configuration that queries this control plane about each call."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--format",
            choices=FORMATS,
            default="nginx",
            help="the program that reads the configuration (default: nginx)",
        )
        parser.add_argument(
            "--listen",
            type=_listen,
            default=DEFAULT_LISTEN,
            help="[address:]port that the gateway listens on (default: 8080)",
        )
        parser.add_argument(
            "--standalone",
            action="store_true",
            help="print a complete file for nginx or Caddy, which starts in a folder of its own",
        )
        parser.add_argument(
            "--ca-file",
            type=_ca_file,
            metavar="FILE",
            help="authorities that may certify the control plane, as a file on the gateway's machine "
            "(default: STOA_GATEWAY_CA_FILE, else the public authorities)",
        )
        parser.add_argument(
            "--output",
            type=Path,
            metavar="FILE",
            help="write to FILE, readable by its owner only, and not to standard output",
        )

    def handle(self, *, format: str, **options: Any) -> None:  # noqa: A002 - the option's name
        token = os.environ.get(TOKEN_VARIABLE, "")
        # A well-formed token has letters, digits and underscores only. Anything else could end the quotes in the file.
        token = token if is_well_formed(token, TOKEN_PREFIX) else ""
        gateway = load_gateway(token)
        site = describe_site(
            gateway.tenants if gateway else None,
            listen=options["listen"],
            is_standalone=options["standalone"],
            ca_file=options["ca_file"],
            token=token,
        )
        pieces = stream_configuration(format, site)
        if options["output"]:
            write_private_file(options["output"], pieces)
        else:
            for piece in pieces:
                self.stdout.write(piece, ending="")


def write_private_file(path: Path, pieces: Iterable[str]) -> None:
    """Replace a file by one that only its owner may read (mode 600). Raises CommandError if that is not possible.

    The content goes into a new file, which then takes the name: a file that exists may be readable by others, and a
    gateway that reloads meanwhile must not read half of it.
    """
    try:
        # A name that is not taken, and mode 600 from the start.
        with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())  # before the new name: after a crash, the name must not stand for an empty file
                Path(file.name).replace(path)
            finally:
                Path(file.name).unlink(missing_ok=True)  # half a file, also if the database went away
    except OSError as fault:
        raise CommandError(f"{path} cannot be written: {fault.strerror}") from fault


def _listen(text: str) -> str:
    if not LISTEN.fullmatch(text):
        raise ArgumentTypeError("an address is 8080, 127.0.0.1:8080 or [::1]:8080")
    return text


def _ca_file(text: str) -> str:
    if not CA_FILE.fullmatch(text):
        raise ArgumentTypeError("a file is a path from the root, such as /etc/ssl/stoa-ca.pem")
    return text
