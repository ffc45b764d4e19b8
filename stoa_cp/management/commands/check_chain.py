"""The command that verifies the event log: it finds changed, inserted and deleted rows."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from stoa_cp.eventlog.chain import first_broken_sequence, tenants_with_events
from stoa_cp.eventlog.models import Event


class Command(BaseCommand):
    """Verify the hash chain of each tenant's events, and name the first row where it is broken."""

    help = "Verify the hash chains of the event log; exits with 1 if one of them is broken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("tenant_ids", nargs="*", metavar="TENANT_ID", help="only these; all without one")

    def handle(self, *, tenant_ids: list[str], **_options: Any) -> None:
        chains = tenant_ids or tenants_with_events()
        broken = [line for line in map(describe_break, chains) if line]
        if broken:
            raise CommandError("\n".join([*broken, f"{len(broken)} of {len(chains)} chains are broken."]))
        self.stdout.write(f"{len(chains)} chains are whole.")


def describe_break(tenant_id: str) -> str | None:
    """Return a sentence that names the first broken row of a tenant's chain, or None if the chain is intact."""
    sequence = first_broken_sequence(tenant_id)
    if sequence is None:
        return None
    event = Event.objects.filter(tenant_id=tenant_id, sequence=sequence).first()
    row = event.id if event else "which is missing"
    return f"The chain of {tenant_id} is broken at event {sequence}, {row}."
