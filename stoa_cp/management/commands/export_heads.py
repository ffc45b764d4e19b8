"""The command that exports signed heads of the event log, for a place that the database's owner cannot reach."""

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from stoa_cp.crypto.audit_keys import pem_of, public_keys
from stoa_cp.eventlog.chain import chains_after
from stoa_cp.eventlog.heads import NotSigned, sign_heads

CHAINS_AT_ONCE = 1_000  # signed in about 0.14 s, and never all in memory


class Command(BaseCommand):
    """Write one line for each chain: the hash of its last event, signed with the newest of STOA_AUDIT_KEYS."""

    help = "Write the signed heads of all chains of the event log, one JSON object a line."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--output", type=Path, metavar="FILE", help="append to this file; standard output without")
        parser.add_argument(
            "--public-keys", action="store_true", help="write the public keys instead, in PEM, for check_chain"
        )

    def handle(self, *, output: Path | None, **options: Any) -> None:
        try:
            pieces = public_key_file() if options["public_keys"] else head_lines()
            if output is None:
                for piece in pieces:
                    self.stdout.write(piece, ending="")
                return
            # Appended: the heads of the past are the proof, so that no option of this command removes one.
            with output.open("a") as file:
                file.writelines(pieces)
        except NotSigned as error:
            raise CommandError("STOA_AUDIT_KEYS is not set.") from error
        except OSError as error:
            raise CommandError(f"{output}: {error.strerror}") from error


def head_lines() -> Iterator[str]:
    """Yield the lines of all chains in the order of their tenants' ids. Raises NotSigned."""
    after = ""
    while chains := list(chains_after(after)[:CHAINS_AT_ONCE]):
        yield from (f"{head.line()}\n" for head in sign_heads(chains))
        after = chains[-1].tenant_id


def public_key_file() -> Iterator[str]:
    """Return each public key in PEM, newest first. Raises NotSigned."""
    keys = public_keys()
    if not keys:
        raise NotSigned
    return map(pem_of, keys.values())
