"""The two ways to run deliveries: the command and the Celery tasks."""

import os
import signal
import threading

import pytest
from django.core.management import call_command
from django.db import OperationalError

from tenants.models import Tenant
from tests.waiting import comes_true
from tests.webhooks.factories import an_event
from tests.webhooks.receivers import Receiver
from webhooks import tasks
from webhooks.delivery.worker import DeliveryWorker
from webhooks.management.commands import deliver_webhooks
from webhooks.models import Webhook

pytestmark = pytest.mark.django_db


def test_once_delivers_what_is_due_and_ends(webhook: Webhook, receiver: Receiver, acme: Tenant) -> None:
    event = an_event(acme)
    call_command("deliver_webhooks", "--once")
    assert receiver.ids == [event.id]


def test_the_tasks_do_the_same(webhook: Webhook, receiver: Receiver, acme: Tenant) -> None:
    event = an_event(acme)
    tasks.fan_out_events()
    tasks.deliver_due()
    assert receiver.ids == [event.id]


def test_the_sweep_finds_events_whose_task_was_lost(webhook: Webhook, receiver: Receiver, acme: Tenant) -> None:
    event = an_event(acme)
    tasks.deliver_due()
    assert receiver.ids == [event.id]


def test_a_task_ends_after_its_longest_run(
    webhook: Webhook, receiver: Receiver, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.tasks.MAX_RUN_SECONDS", -1)
    an_event(acme)
    tasks.deliver_due()
    assert receiver.received == []


def test_a_signal_ends_the_command(webhook: Webhook, receiver: Receiver, acme: Tenant) -> None:
    event = an_event(acme)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def terminate_once_delivered() -> None:
        comes_true(lambda: bool(receiver.received), seconds=30)
        os.kill(os.getpid(), signal.SIGTERM)

    terminating = threading.Thread(target=terminate_once_delivered)
    terminating.start()
    try:
        call_command("deliver_webhooks", "--threads", "2")
    finally:
        terminating.join()
        for number, handler in before.items():
            signal.signal(number, handler)
    assert receiver.ids == [event.id]


def test_a_database_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping = threading.Event()
    drains = iter([OperationalError("gone"), OperationalError("gone"), None])

    class Interrupted(DeliveryWorker):
        def drain(self, should_stop: object = None) -> int:
            outcome = next(drains)
            if outcome is not None:
                raise outcome
            stopping.set()
            return 0

    monkeypatch.setattr(deliver_webhooks, "RECONNECT_SECONDS", 0.01)
    monkeypatch.setattr(deliver_webhooks.connection, "close", lambda: None)
    with Interrupted(threads=1) as worker:
        deliver_webhooks.run(worker, stopping)
    assert next(drains, "all of them") == "all of them"
