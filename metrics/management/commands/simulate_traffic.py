"""``manage.py simulate_traffic 100000 --days 30``: reports invented traffic."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from http import HTTPStatus
from itertools import count, islice
from random import Random
from typing import Any

import urllib3
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from catalog.authentication import HEADER
from catalog.services.gateways import create_gateway, delete_gateway
from metrics.ingest.batches import MAX_RECORDS, Batch
from metrics.ingest.records import MAX_AGE
from metrics.rollups.fold import fold_waiting_deltas
from metrics.services import ingest_batch
from metrics.simulation import choose_targets, simulate_records
from stoa_cp.domain.actors import SYSTEM

TIMEOUT_SECONDS = 30  # longer than the server's statement timeout (10 s): its error is more telling than ours
# The endpoint accepts records up to MAX_AGE. The margin is for a long run: records age while others are posted.
POSTABLE_AGE = MAX_AGE - timedelta(minutes=30)


class Command(BaseCommand):
    """Posts invented traffic as a gateway would. Records too old for the endpoint go to the service directly."""

    help = "Invent traffic for the active subscriptions over the last days, and report it as a gateway would."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("records", type=int, nargs="?", default=10_000, help="how many (default: 10,000)")
        parser.add_argument("--days", type=float, default=1.0, help="over how many days (default: 1)")
        parser.add_argument("--until", type=date.fromisoformat, help="their last day, UTC (default: until now)")
        parser.add_argument("--tenant", help="only this tenant's subscriptions, by its name")
        parser.add_argument("--url", default=settings.STOA_URL, help="where the control plane is served")
        parser.add_argument("--token", help="a gateway's token (default: one is registered for the run)")
        parser.add_argument("--seed", type=int, help="the same number, the same traffic")

    def handle(self, *, records: int, days: float, until: date | None, **options: Any) -> None:
        if records < 1 or days <= 0:
            raise CommandError("There must be at least one record, over more than no time.")
        chance = Random(options["seed"])  # noqa: S311 - repeatable, and no secret
        targets = choose_targets(options["tenant"], chance)
        if not targets:
            raise CommandError("There is no active subscription whose traffic could be simulated.")
        now = timezone.now()
        stop = min(now, datetime.combine(until, time.max, now.tzinfo)) if until else now
        invented = simulate_records(targets, stop - timedelta(days=days), stop, records, chance)
        url = f"{options['url'].rstrip('/')}/v1/gateway/traffic"
        direct = 0
        with tqdm(total=records, unit=" records", disable=None) as bar, _token(options["token"]) as token:
            for batch in _batches(invented):
                if datetime.fromisoformat(batch.records[0]["timestamp"]) < now - POSTABLE_AGE:
                    ingest_batch(batch, by=SYSTEM, max_age=None)
                    fold_waiting_deltas()  # else beat would have an hour's work to fold a year of traffic
                    direct += len(batch.records)
                else:
                    _post(url, token, batch)
                bar.update(len(batch.records))
        if direct < records:
            self.stdout.write(f"{records - direct} records went through {url}.")
        if direct:
            self.stdout.write(f"{direct} were older than it takes, and were handed to the service behind it.")


def _batches(records: Iterator[dict[str, Any]]) -> Iterator[Batch]:
    # Random, or a second run would repeat the batch ids of the first, and count nothing.
    run = secrets.token_hex(4)
    for number in count():
        taken = list(islice(records, MAX_RECORDS))
        if not taken:
            return
        yield Batch(f"simulated-{run}-{number}", taken)


@contextmanager
def _token(given: str | None) -> Iterator[str]:
    """Yield the given token, or that of a new gateway, which is deleted at the end."""
    if given is not None:
        yield given
        return
    issued = create_gateway(f"simulator-{secrets.token_hex(4)}", by=SYSTEM)
    gateway, token = issued.resource, issued.secret
    try:
        yield token
    finally:
        delete_gateway(gateway, by=SYSTEM)


def _post(url: str, token: str, batch: Batch) -> None:
    body = json.dumps({"batch_id": batch.batch_id, "records": batch.records}).encode()
    headers = {HEADER: token, "Content-Type": "application/json"}
    try:
        response = urllib3.request("POST", url, body=body, headers=headers, timeout=TIMEOUT_SECONDS, retries=False)
    except urllib3.exceptions.HTTPError as error:
        raise CommandError(f"{url} does not answer: {error}") from error
    if response.status != HTTPStatus.OK:
        raise CommandError(f"{url} answered {response.status}: {response.data.decode(errors='replace')[:500]}")
