"""The command that tells which peppers are still needed."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from apikeys.queries import count_secrets_by_pepper, list_keys_that_need
from catalog.queries import count_tokens_by_pepper, list_gateways_that_need
from stoa_cp.crypto.credentials import pepper_fingerprints

# Counting reads every key once, which no index shortens. The service's own 10 s may be too little for many millions.
STATEMENT_SECONDS = 600
# They are read into memory: a transaction that waits for a reader such as `less` would be ended by its time-out.
MAX_LISTED_KEYS = 10_000
UNKNOWN = "unknown"


class Command(BaseCommand):
    """Counts what needs each pepper. Exits with 1 if something live needs one that is not configured any more."""

    help = "Count the keys and gateway tokens that need each pepper; exits with 1 if one needs a missing pepper."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--list",
            metavar="FINGERPRINT",
            help=f"print what needs this pepper, or '{UNKNOWN}': tenant, id, last use; {MAX_LISTED_KEYS} keys at most",
        )

    def handle(self, **options: Any) -> None:
        fingerprint, missing = options["list"], list[str]()
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{STATEMENT_SECONDS}s"])
            if fingerprint:
                lines = list_what_needs(None if fingerprint == UNKNOWN else fingerprint)
            else:
                lines, missing = count_what_needs_each()
        for line in lines:
            self.stdout.write(line)
        if missing:
            raise CommandError("\n".join(missing))


def count_what_needs_each() -> tuple[list[str], list[str]]:
    """Return a line for each configured pepper and for unknown ones, and one for each that is needed and missing."""
    secrets, tokens = count_secrets_by_pepper(), count_tokens_by_pepper()

    def need(pepper: str | None) -> str:
        return f"{secrets[pepper]} secrets of keys, {tokens[pepper]} gateway tokens"

    configured = pepper_fingerprints()
    lines = [f"{position}. {pepper}: {need(pepper)}." for position, pepper in enumerate(configured, start=1)]
    needed = {pepper for pepper in (*secrets, *tokens) if pepper}
    return (
        [*lines, f"{UNKNOWN}: {need(None)}."],
        [f"{name} is not in STOA_KEY_PEPPERS and is needed: {need(name)}." for name in sorted(needed - {*configured})],
    )


def list_what_needs(pepper: str | None) -> list[str]:
    """Return a line for each key (tenant, id, last use) and each gateway, which has no tenant; None is unknown."""
    keys, gateways = list_keys_that_need(pepper, MAX_LISTED_KEYS), list_gateways_that_need(pepper)
    return [f"{tenant} {key} {_moment(used_at)}" for tenant, key, used_at in keys] + [
        f"- {gateway} {_moment(seen_at)}" for gateway, seen_at in gateways
    ]


def _moment(used_at: datetime | None) -> str:
    return used_at.isoformat(timespec="seconds") if used_at else "never"
