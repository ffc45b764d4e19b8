"""From the commit to the receiver on an idle default installation: its worker with its clock, PostgreSQL as broker."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from statistics import quantiles
from time import monotonic, sleep

import psycopg
from django.db import connection, transaction

from stoa_cp.celery import app
from stoa_cp.devserver.programs import worker
from stoa_cp.jobs.broker import broker_url, install_queue
from tenants.models import Tenant
from tests.benchmarks.databases import execute
from tests.benchmarks.results import Row
from tests.benchmarks.senders import START_SECONDS, running
from tests.factories import TenantFactory
from tests.waiting import wait_until
from tests.webhooks.factories import WebhookFactory, an_event
from tests.webhooks.receivers import Receiver

EVENTS = 60
PAUSE_SECONDS = (0.2, 0.7)  # between two events, so that the installation is idle before each
PATIENCE_SECONDS = 10
GOAL_MS = 300


def delivery_delay_rows() -> Iterator[Row]:
    execute("TRUNCATE webhooks_delivery, webhooks_attempt, stoa_cp_eventdispatch")
    tenant, chance = TenantFactory(name="bench-delivery-delay"), Random(1)  # noqa: S311 - repeatable
    with Receiver().running() as receiver, _default_worker():
        WebhookFactory(tenant=tenant, url=receiver.url)
        _milliseconds_to(receiver, tenant, START_SECONDS)
        taken = []
        for _event in range(EVENTS):
            sleep(chance.uniform(*PAUSE_SECONDS))
            taken.append(_milliseconds_to(receiver, tenant, PATIENCE_SECONDS))
    cuts = quantiles(taken, n=20)
    ours = f"{cuts[18]:.0f} ms (median {cuts[9]:.0f} ms)"
    yield Row("commit to receiver on an idle installation, p95", ours, f"≤ {GOAL_MS} ms", GOAL_MS / cuts[18], goal=1)


@contextmanager
def _default_worker() -> Iterator[None]:
    """Run the worker of ``make run``, and let this process enqueue at the broker from which it takes tasks."""
    with psycopg.connect(**connection.get_connection_params()) as raw:
        install_queue(raw)
    original = app.conf.broker_url
    app.conf.broker_url = broker_url("", connection.settings_dict)
    settings = {"DJANGO_SETTINGS_MODULE": "stoa_cp.settings", "STOA_BROKER_URL": ""}
    try:
        with tempfile.TemporaryDirectory() as folder:
            data_dir = {"STOA_DATA_DIR": folder}
            with running(worker(data_dir).command, settings | data_dir):
                yield
    finally:
        app.conf.broker_url = original


def _milliseconds_to(receiver: Receiver, tenant: Tenant, wait_seconds: float) -> float:
    """Commit an event, and return how long after it the receiver had it."""
    committed_at: list[float] = []
    with transaction.atomic():
        # Before the event's own task is enqueued: that is part of the time.
        transaction.on_commit(lambda: committed_at.append(monotonic()))
        event = an_event(tenant)
    wait_until(lambda: event.id in receiver.ids, "the event arrives", seconds=wait_seconds)
    return (receiver.received[receiver.ids.index(event.id)].arrived_at - committed_at[0]) * 1000
