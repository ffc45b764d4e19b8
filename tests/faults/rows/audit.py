"""The database's owner against its own event log: A1."""

import subprocess
import sys

from django.db import transaction

from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.emit import emit
from tenants.event_types import TenantEvent
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.processes import ROOT
from tests.faults.world import World
from tests.security.tampering import rewrite

EVENTS, CHANGED = 50, 7


@injects(
    Fault(
        "A1",
        "the database's owner rewrites the event log and hashes it again",
        f"SQL: triggers off, event {CHANGED} of {EVENTS} changed, all hashes after it and the head renewed; heads were "
        f"exported after the events {CHANGED - 1}, {CHANGED} and {EVENTS}",
        "`check_chain` says whole; `check_chain --against` the exported heads names the first event",
        "tests/security/test_signed_heads.py",
    )
)
def rewrite_the_log(world: World) -> Measured:
    tenant, heads = world.tenant().id, world.folder / "heads.jsonl"
    for number in range(EVENTS):
        with transaction.atomic():
            emit(TenantEvent.UPDATED, tenant_id=tenant, actor=SYSTEM, data={"number": number})
        if number in (CHANGED - 2, CHANGED - 1, EVENTS - 1):
            manage(world, "export_heads", "--output", str(heads))
    rewrite(tenant, CHANGED)
    plain = manage(world, "check_chain", tenant)
    against = manage(world, "check_chain", "--against", str(heads), tenant)
    finding = against.stderr.partition("\n")[0]
    return Measured(
        f"`check_chain`: {plain.stdout.strip()} With the heads: {finding}",
        held=not plain.returncode and against.returncode == 1 and finding.endswith(f"so event {CHANGED} was changed."),
    )


def manage(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=world.environment, check=False, capture_output=True, text=True, timeout=60
    )
