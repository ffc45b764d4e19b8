"""The command that reports what a gateway's access log says."""

import fcntl
import gzip
import json
import os
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any

import urllib3
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from catalog.authentication import HEADER
from metrics.access_logs.formats import Record, read_records
from metrics.access_logs.tail import Chunk, LogTailer, Places
from metrics.ingest.batches import MAX_RECORDS

TOKEN_VARIABLE = "STOA_GATEWAY_TOKEN"  # noqa: S105 - a variable's name
POLL_SECONDS = 1.0
TIMEOUT_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 30.0
OK = 200


class ControlPlaneAway(Exception):
    """Nobody is there, or somebody who cannot say now."""


class Command(BaseCommand):
    """Follows the log and posts batches. It may be killed at any time: no line is lost or counted twice."""

    help = "Follow the JSON access log of nginx or Caddy, and report its calls to the control plane."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("log", type=Path, help="the access log; its rotated siblings are found beside it")
        parser.add_argument("--gateway", required=True, help="whose log it is, such as edge-1: names the place's file")
        parser.add_argument("--token", help=f"the gateway's token (default: the variable {TOKEN_VARIABLE})")
        parser.add_argument("--url", default=settings.STOA_URL, help="where the control plane is served")
        parser.add_argument("--place", type=Path, help="where to remember the place (default: beside the log)")
        parser.add_argument("--once", action="store_true", help="report what is there, and end")

    def handle(self, *, log: Path, gateway: str, once: bool, **options: Any) -> None:
        token = options["token"] or os.environ.get(TOKEN_VARIABLE, "")
        if not token:
            raise CommandError(f"The gateway's token is missing: set {TOKEN_VARIABLE}.")
        place = options["place"] or log.with_name(f"{log.name}.{gateway}.place")
        reporter = Reporter(options["url"], token)
        with _alone(place):
            follower = LogTailer(log, Places(place))
            follower.begin()
            while True:
                self._report_all(follower, reporter, once=once)
                if once:
                    return
                sleep(POLL_SECONDS)

    def _report_all(self, follower: LogTailer, reporter: "Reporter", *, once: bool) -> None:
        for chunk in follower.chunks():
            self._report(chunk, reporter, once=once)
            follower.settle(chunk)

    def _report(self, chunk: Chunk, reporter: "Reporter", *, once: bool) -> None:
        """Report a chunk, however long the control plane is away; with ``once``, try once. Raises CommandError."""
        pause = POLL_SECONDS
        for batch_id, records in _batches(chunk):
            while True:
                try:
                    self._tell(reporter.report(batch_id, records))
                    break
                except ControlPlaneAway as failure:
                    if once:
                        raise CommandError(str(failure)) from failure
                    self.stderr.write(f"{failure}; next try in {pause:.0f} s")
                    sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _tell(self, receipt: dict[str, Any]) -> None:
        self.stdout.write(f"accepted {receipt['accepted']}{', sent before' if receipt['duplicate'] else ''}")
        for refusal in receipt["refused"]:
            self.stderr.write(f"refused {refusal['code']}: {refusal['message']}")


class Reporter:
    """Posts batches as one gateway."""

    def __init__(self, url: str, token: str) -> None:
        self._url = f"{url.rstrip('/')}/v1/gateway/traffic"
        self._headers = {HEADER: token, "Content-Type": "application/json", "Content-Encoding": "gzip"}
        self._pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT_SECONDS)

    def report(self, batch_id: str, records: list[Record]) -> dict[str, Any]:
        """Return the receipt. Raises ControlPlaneAway for what may be better later, CommandError for a refusal."""
        body = gzip.compress(json.dumps({"batch_id": batch_id, "records": records}).encode(), mtime=0)
        try:
            answer = self._pool.request("POST", self._url, body=body, headers=self._headers)
        except urllib3.exceptions.HTTPError as error:
            raise ControlPlaneAway(f"The control plane is away: {error}") from error
        if answer.status == 429 or answer.status >= 500:  # noqa: PLR2004 - statuses that pass
            raise ControlPlaneAway(f"The control plane answered {answer.status}")
        if answer.status != OK:
            raise CommandError(f"The control plane refuses the batch: {answer.status} {answer.data[:500].decode()}")
        receipt: dict[str, Any] = answer.json()
        return receipt


def _batches(chunk: Chunk) -> Iterator[tuple[str, list[Record]]]:
    """Yield the chunk's records with an id that is the same whenever the chunk is read again."""
    records = list(read_records(chunk.content.splitlines()))
    for start in range(0, len(records), MAX_RECORDS):
        yield f"{chunk.name}-{start}", records[start : start + MAX_RECORDS]


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Keep a second process from following the same log: both would report each line. Raises CommandError."""
    with place.with_name(f"{place.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError("Another process follows this log already.") from None
        yield
