"""Processes that deliver what lies ready, and how fast it arrives."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter, sleep

from stoa_cp.devserver.processes import Program, end, spawn
from stoa_cp.eventlog.models import Event
from tests.benchmarks.databases import execute
from tests.benchmarks.receiver import Receiver
from tests.databases import database_url
from tests.factories import TenantFactory
from tests.webhooks.factories import WebhookFactory, an_old_event
from webhooks.delivery.payloads import build_body
from webhooks.models import Delivery, Webhook

# At most four deliveries of a webhook are in flight, and 16 of a tenant: enough of both for 128 threads.
TENANTS, WEBHOOKS_EACH = 12, 6
EVENTS_EACH = 180
FILLER = "x" * 500  # the body of a delivery is about 700 bytes
START_SECONDS = 40
STOP_SECONDS = 10

LOOPBACK_ALLOWED = {"STOA_ALLOW_HTTP_WEBHOOKS": "true", "STOA_EGRESS_ALLOW": "127.0.0.0/8"}


class Backlog:
    """Our deliveries of some events to webhooks that share a receiver; laid ready anew for each round."""

    def __init__(self, name: str, receiver: Receiver) -> None:
        self._webhooks: list[Webhook] = []
        self._events: dict[str, list[Event]] = {}
        for number in range(TENANTS):
            tenant = TenantFactory(name=f"{name}-{number}")
            self._webhooks += WebhookFactory.create_batch(WEBHOOKS_EACH, tenant=tenant, url=receiver.url)
            self._events[tenant.id] = [an_old_event(tenant, filler=FILLER) for _number in range(EVENTS_EACH)]

    def lay_ready(self) -> int:
        """Return how many deliveries wait."""
        execute("TRUNCATE webhooks_delivery, webhooks_attempt")
        deliveries = [
            Delivery(tenant_id=webhook.tenant_id, webhook=webhook, event=event, body=build_body(event))
            for webhook in self._webhooks
            for event in self._events[webhook.tenant_id]
        ]
        Delivery.objects.bulk_create(deliveries, batch_size=2_000)
        execute("ANALYZE webhooks_delivery")
        return len(deliveries)


def engine_command(threads: int) -> list[str]:
    return [sys.executable, "manage.py", "deliver_webhooks", "--threads", str(threads)]


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[None]:
    """Run a program over the database of this run for the length of the block."""
    chosen = os.environ | {"DATABASE_URL": database_url()} | LOOPBACK_ALLOWED | environment
    program = Program(command[-1], command, chosen)
    process = spawn(program, subprocess.DEVNULL)
    try:
        yield
    finally:
        end(process, program.stop_signal, grace_seconds=STOP_SECONDS)


def arrivals_per_second(receiver: Receiver, *, seconds: float, ready: int) -> float:
    """Measure once a fiftieth of the ready deliveries has arrived. Raises AssertionError if they do not suffice."""
    before = receiver.count()
    deadline = perf_counter() + START_SECONDS
    while (first := receiver.count()) < before + ready // 50:
        assert perf_counter() < deadline, "nothing arrives"
        sleep(0.02)
    start = perf_counter()
    sleep(seconds)
    last, took = receiver.count(), perf_counter() - start
    assert last < before + ready, "too few deliveries lay ready"
    return (last - first) / took
