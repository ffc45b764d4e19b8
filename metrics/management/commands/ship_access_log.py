"""``manage.py ship_access_log --gateway edge-1 access.json``: reports the calls of a gateway's access log."""

import fcntl
import gzip
import json
import os
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from time import sleep
from typing import Any

import urllib3
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from catalog.authentication import HEADER
from metrics.access_logs.formats import Record, read_records
from metrics.access_logs.tail import Chunk, LogTailer, StateFile
from metrics.ingest.batches import MAX_RECORDS

TOKEN_VARIABLE = "STOA_GATEWAY_TOKEN"  # noqa: S105 - a variable's name
# A call is reported about a second after it was logged. Looking costs little: a directory listing and the first line of
# each file. It is also the first pause after a failure.
POLL_SECONDS = 1.0
# Longer than any server's deadline for a batch (statement timeout: 10 s), short enough to notice a dead connection.
TIMEOUT_SECONDS = 30.0
# The pause doubles with each failure up to this, so that many gateways do not crowd a control plane that restarts, and
# reporting goes on soon after.
LONGEST_PAUSE_SECONDS = 30.0


class ControlPlaneUnavailable(Exception):
    """The control plane cannot be reached, or cannot take the batch at the moment."""


class Command(BaseCommand):
    """Follows the log and posts batches. It may be killed at any time: no line is lost or counted twice."""

    help = "Follow the JSON access log of nginx or Caddy, and report its calls to the control plane."
    # It runs beside the proxy, without the control plane's database and secrets, which the checks would ask for.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("log", type=Path, help="the access log; its rotated files are found beside it")
        parser.add_argument("--gateway", required=True, help="whose log it is, such as edge-1: names the state file")
        parser.add_argument("--token", help=f"the gateway's token (default: the variable {TOKEN_VARIABLE})")
        parser.add_argument("--url", default=settings.STOA_URL, help="where the control plane is served")
        # `--place` is the option's first name; scripts of operators may use it.
        parser.add_argument(
            "--state-file", "--place", type=Path, help="stores how far the log was read (default: beside the log)"
        )
        parser.add_argument("--once", action="store_true", help="report what is there, and end")

    def handle(self, *, log: Path, gateway: str, once: bool, **options: Any) -> None:
        token = options["token"] or os.environ.get(TOKEN_VARIABLE, "")
        if not token:
            raise CommandError(f"The gateway's token is missing: set {TOKEN_VARIABLE}.")
        # The name is that of earlier releases, whose checkpoints are continued.
        path = options["state_file"] or log.with_name(f"{log.name}.{gateway}.place")
        client = TrafficClient(options["url"], token)
        with _lock(path):
            tailer = LogTailer(log, StateFile(path))
            tailer.start()
            while True:
                self._report_all(tailer, client, once=once)
                if once:
                    return
                sleep(POLL_SECONDS)

    def _report_all(self, tailer: LogTailer, client: "TrafficClient", *, once: bool) -> None:
        for chunk in tailer.chunks():
            self._report(chunk, client, once=once)
            tailer.commit(chunk)

    def _report(self, chunk: Chunk, client: "TrafficClient", *, once: bool) -> None:
        """Report a chunk; retry for ever while the control plane is unavailable. With ``once``, try once.

        The lines are safe in the log meanwhile. A retry is safe too: the batch id is the same, and counts once.
        Raises CommandError if the batch is refused, or could not be sent with ``once``.
        """
        pause = POLL_SECONDS
        for batch_id, records in _batches(chunk):
            while True:
                try:
                    self._print(client.report(batch_id, records))
                    break
                except ControlPlaneUnavailable as failure:
                    if once:
                        raise CommandError(str(failure)) from failure
                    self.stderr.write(f"{failure}; next try in {pause:.0f} s")
                    sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _print(self, receipt: dict[str, Any]) -> None:
        self.stdout.write(f"accepted {receipt['accepted']}{', sent before' if receipt['duplicate'] else ''}")
        for refusal in receipt["refused"]:
            self.stderr.write(f"refused {refusal['code']}: {refusal['message']}")


class TrafficClient:
    """Posts batches of traffic as one gateway."""

    def __init__(self, url: str, token: str) -> None:
        self._url = f"{url.rstrip('/')}/v1/gateway/traffic"
        self._headers = {HEADER: token, "Content-Type": "application/json", "Content-Encoding": "gzip"}
        # No retries of urllib3's own: `_report` retries, and tells the operator.
        self._pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT_SECONDS)

    def report(self, batch_id: str, records: list[Record]) -> dict[str, Any]:
        """Return the receipt.

        Raises ControlPlaneUnavailable for a failure that may pass, CommandError for a refusal that will not.
        """
        # mtime=0, so that the same batch has the same bytes.
        body = gzip.compress(json.dumps({"batch_id": batch_id, "records": records}).encode(), mtime=0)
        try:
            answer = self._pool.request("POST", self._url, body=body, headers=self._headers)
        except urllib3.exceptions.HTTPError as error:
            raise ControlPlaneUnavailable(f"The control plane is away: {error}") from error
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ControlPlaneUnavailable(f"The control plane answered {answer.status}")
        if answer.status != HTTPStatus.OK:
            # A proxy's error page may be long, and cut inside a character.
            excerpt = answer.data[:500].decode(errors="replace")
            raise CommandError(f"The control plane refuses the batch: {answer.status} {excerpt}")
        receipt: dict[str, Any] = answer.json()
        return receipt


def _batches(chunk: Chunk) -> Iterator[tuple[str, list[Record]]]:
    """Yield the chunk's records in batches. Their ids are the same each time the chunk is read."""
    records = list(read_records(chunk.content.splitlines()))
    for start in range(0, len(records), MAX_RECORDS):
        yield f"{chunk.name}-{start}", records[start : start + MAX_RECORDS]


@contextmanager
def _lock(state_path: Path) -> Iterator[None]:
    """Keep a second process from following the same log. Raises CommandError if there is one.

    Two processes would cut the log into different chunks, whose batch ids differ: lines would count twice. The kernel
    releases the lock when the process dies.
    """
    with state_path.with_name(f"{state_path.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError("Another process follows this log already.") from None
        yield
