"""The engine's two ways in, the command and the Celery tasks, and the rotation of encryption keys."""

import os
import signal
import threading
from io import StringIO

import pytest
from cryptography.fernet import Fernet, InvalidToken
from django.core.management import call_command
from django.db import OperationalError
from pytest_django import Settings

from stoa_cp.crypto.encryption import decrypt, encrypt
from tenants.models import Tenant
from tests.factories import SubscriptionFactory
from tests.webhooks.factories import SECRET, WebhookFactory, an_event
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


def test_the_sweep_finds_events_whose_doorbell_was_lost(webhook: Webhook, receiver: Receiver, acme: Tenant) -> None:
    event = an_event(acme)
    tasks.deliver_due()
    assert receiver.ids == [event.id]


def test_a_task_lets_go_of_its_worker_after_a_while(
    webhook: Webhook, receiver: Receiver, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.tasks.MAX_RUN_SECONDS", -1)
    an_event(acme)
    tasks.deliver_due()
    assert receiver.received == []


def test_a_signal_ends_the_command(webhook: Webhook, receiver: Receiver, acme: Tenant) -> None:
    event = an_event(acme)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    try:
        call_command("deliver_webhooks", "--threads", "2")
    finally:
        timer.join()
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
    with Interrupted(threads=1) as engine:
        deliver_webhooks.run(engine, stopping)
    assert next(drains, "all of them") == "all of them"


def test_an_encryption_key_is_retired(acme: Tenant, settings: Settings) -> None:
    new, (old,) = Fernet.generate_key().decode(), settings.STOA_ENCRYPTION_KEYS
    webhook = WebhookFactory(
        tenant=acme, previous_secret=encrypt("whsec_old"), previous_secret_valid_until="2100-01-01T00:00:00Z"
    )
    WebhookFactory(tenant=acme)
    subscription = SubscriptionFactory(
        tenant=acme, callback_url="https://myapp.com/", callback_secret=encrypt("whsec_call")
    )
    settings.STOA_ENCRYPTION_KEYS = [new, old]
    answer = StringIO()
    call_command("rotate_encryption_key", stdout=answer, stderr=StringIO())
    assert answer.getvalue() == "4 secrets are under the newest key.\n"

    settings.STOA_ENCRYPTION_KEYS = [new]
    version = webhook.version
    webhook.refresh_from_db()
    subscription.refresh_from_db()
    secrets = (webhook.secret, webhook.previous_secret, subscription.callback_secret)
    assert [decrypt(secret) for secret in secrets] == [SECRET, "whsec_old", "whsec_call"]
    assert webhook.version == version


def test_a_secret_that_no_key_opens_stops_the_rotation(acme: Tenant, settings: Settings) -> None:
    webhook = WebhookFactory(tenant=acme)
    settings.STOA_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(InvalidToken):
        call_command("rotate_encryption_key", stdout=StringIO(), stderr=StringIO())
    assert bytes(Webhook.objects.get().secret) == bytes(webhook.secret)
