"""The command that tells whether somebody has tampered with the event log."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from stoa_cp.audit import first_broken_sequence, tenants_with_events
from stoa_cp.models import Event


class Command(BaseCommand):
    """Walk the hash chain of each tenant's events and name the first row at which it breaks."""

    help = "Verify the hash chains of the event log; exits with 1 if one of them is broken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("tenant_ids", nargs="*", metavar="TENANT_ID", help="only these; all without one")

    def handle(self, *, tenant_ids: list[str], **_options: Any) -> None:
        chains = tenant_ids or tenants_with_events()
        broken = [tenant_id for tenant_id in chains if not self._is_whole(tenant_id)]
        if broken:
            raise CommandError(f"{len(broken)} of {len(chains)} chains are broken.")
        self.stdout.write(f"{len(chains)} chains are whole.")

    def _is_whole(self, tenant_id: str) -> bool:
        sequence = first_broken_sequence(tenant_id)
        if sequence is not None:
            event = Event.objects.filter(tenant_id=tenant_id, sequence=sequence).first()
            row = event.id if event else "which is missing"
            self.stderr.write(f"The chain of {tenant_id} is broken at event {sequence}, {row}.")
        return sequence is None
