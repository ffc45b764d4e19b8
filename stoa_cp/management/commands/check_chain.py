"""The command that verifies the event log: it finds changed, inserted, deleted and, with heads, rewritten events."""

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from stoa_cp.crypto.audit_keys import PublicKeys, public_keys, read_public_keys
from stoa_cp.eventlog.chain import first_broken_sequence, tenants_with_events
from stoa_cp.eventlog.comparison import Comparison, compare
from stoa_cp.eventlog.heads import MAX_LINE_CHARACTERS
from stoa_cp.eventlog.models import Event


class Command(BaseCommand):
    """Verify the hash chain of each tenant's events, and name the first row where it is broken."""

    help = "Verify the hash chains of the event log; exits with 1 if one of them is broken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("tenant_ids", nargs="*", metavar="TENANT_ID", help="only these; all without one")
        parser.add_argument(
            "--against", type=Path, metavar="FILE", help="also compare with signed heads, as export_heads writes them"
        )
        parser.add_argument(
            "--public-keys",
            type=Path,
            metavar="FILE",
            help="the keys that verify the heads, in PEM; those of STOA_AUDIT_KEYS without",
        )

    def handle(self, *, tenant_ids: list[str], against: Path | None, **options: Any) -> None:
        keys = trusted_keys(options["public_keys"]) if against else {}
        chains = tenant_ids or tenants_with_events()
        broken = [line for line in map(describe_break, chains) if line]
        if against is None:
            comparison = Comparison()
        else:
            with opened(against) as lines:
                comparison = compare(lines, keys, tenant_ids=tenant_ids)
        findings = [*broken, *comparison.findings()]
        if findings:
            raise CommandError("\n".join([*findings, f"{len(broken)} of {len(chains)} chains are broken."]))
        if against and not comparison.fitting:
            raise CommandError(f"{against} has no signed head.")
        self.stdout.write(f"{len(chains)} chains are whole.")
        if against:
            self.report_heads(comparison, chains)

    def report_heads(self, comparison: Comparison, chains: Iterable[str]) -> None:
        self.stdout.write(f"{comparison.fitting} signed heads fit.")
        for tenant_id in sorted(set(chains) - comparison.chains.keys()):
            # No fault: the chain may have begun after the last export. Lines may also have been taken out of the file.
            self.stdout.write(f"The chain of {tenant_id} has no signed head.")


def trusted_keys(path: Path | None) -> PublicKeys:
    """Return the keys of a file, or of the settings. Raises CommandError if there is none."""
    if path is None:
        keys = public_keys()
        if not keys:
            raise CommandError("Give --public-keys, or set STOA_AUDIT_KEYS: without a key a head proves nothing.")
        return keys
    try:
        return read_public_keys(path.read_text())
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise CommandError(f"{path}: {error}") from error


@contextmanager
def opened(path: Path) -> Iterator[Iterator[str]]:
    """Open a file of heads, and yield its lines, or pieces of one that is too long to be a head.

    A byte that is not UTF-8 becomes a character that no head has. Raises CommandError if the file cannot be opened.
    """
    try:
        file = path.open(errors="replace")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    with file:
        # Bounded: a file without line ends must not be read into memory as one line.
        yield iter(lambda: file.readline(MAX_LINE_CHARACTERS + 1), "")


def describe_break(tenant_id: str) -> str | None:
    """Return a sentence that names the first broken row of a tenant's chain, or None if the chain is intact."""
    sequence = first_broken_sequence(tenant_id)
    if sequence is None:
        return None
    event = Event.objects.filter(tenant_id=tenant_id, sequence=sequence).first()
    row = event.id if event else "which is missing"
    return f"The chain of {tenant_id} is broken at event {sequence}, {row}."
