"""Injects the faults, prints the table and keeps it: ``python -m tests.faults [W1 B2 …]``."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from time import monotonic

from stoa_cp.devserver import environment as environments
from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.http import http_server
from stoa_cp.devserver.issuer import Issuer
from stoa_cp.devserver.postgres import PostgresServer
from stoa_cp.devserver.realm import PEOPLE, KeyPair, access_claims
from tests.faults import isolation, report
from tests.faults.matrix import ROWS, Fault, Measured
from tests.faults.world import World
from tests.waiting import NeverHappened

RESULTS = Path(__file__).with_name("RESULTS.md")


def main(wanted: list[str]) -> int:
    """Run the rows that are wanted, all of them by default; return 1 if a promise was not held."""
    with world() as here:
        from tests.faults import rows  # they import the product's models, for which Django must be set up

        rows.register()
        chosen = [ROWS[number] for number in (wanted or sorted(ROWS, key=report.place))]
        results = [(fault, _run(fault, here)) for fault, _row in chosen]
    sys.stdout.write(f"{report.summary(results)}\n")
    kept = report.standing(RESULTS.read_text())
    RESULTS.write_text(report.document(results, kept))
    return int(any(measured.held is False for _fault, measured in results))


def _run(fault: Fault, here: World) -> Measured:
    sys.stderr.write(f"{fault.number:4}{fault.name} …\n")
    began_at = monotonic()
    if fault.needs_namespace and not isolation.is_isolated():
        measured = isolation.run_apart(fault)
    else:
        measured = measure(fault.number, here)
    sys.stderr.write(f"{report.line(measured, seconds=monotonic() - began_at)}\n")
    return measured


def measure(number: str, here: World) -> Measured:
    """Inject one fault into a world with nothing left to deliver."""
    here.clear()
    try:
        return ROWS[number][1](here)
    except NeverHappened as failure:
        return Measured(str(failure), held=False)


@contextmanager
def world() -> Iterator[World]:
    """Start the servers, migrate, and set Django up on them; everything is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="stoa-faults-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # ours, and the database's account must pass through it
        server = PostgresServer(folder / "server", durable=True)
        server.start()
        try:
            with _issuer() as grants, (folder / "log").open("wb") as log:
                os.environ.update(_environment(server, grants, folder))
                _prepare()
                token = grants.key.sign(access_claims(PEOPLE["olga"], grants.issuer))
                yield World(server, dict(os.environ), log, token, folder)
        finally:
            server.cluster.end_leftover()  # a row may have restarted it under another process number
            server.destroy()


@contextmanager
def _issuer() -> Iterator[Grants]:
    grants = Grants("", KeyPair.generate(), client_secret="", password="")
    server = http_server("127.0.0.1", 0, Issuer(grants).respond)
    grants.issuer = f"http://127.0.0.1:{server.server_port}/realms/stoa"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield grants
    finally:
        server.shutdown()
        server.server_close()


def _environment(server: PostgresServer, grants: Grants, folder: Path) -> dict[str, str]:
    return environments.defaults_for({}, {}) | {
        "DATABASE_URL": server.url,
        "DJANGO_SETTINGS_MODULE": "stoa_cp.settings",
        "STOA_DATA_DIR": str(folder),
        "STOA_OIDC_ISSUER": grants.issuer,
        "STOA_PLATFORM_RATE_LIMIT": "100000000",
        "STOA_BROKER_URL": "",
    }


def _prepare() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("prepare", verbosity=0, stdout=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
