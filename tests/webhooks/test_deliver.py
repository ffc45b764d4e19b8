"""From an event to a receiver: what arrives, how often, and what a bad receiver does to the others."""

import base64
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest
from django.db.models import F
from django.db.models.functions import Now
from pytest_django import Settings
from standardwebhooks import Webhook as Verifier

from stoa_cp.crypto.encryption import encrypt
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.net.targets import parse_target
from tenants.models import Tenant
from tests.webhooks.claims import claim
from tests.webhooks.conftest import Drain, StartRawReceiver, StartReceiver
from tests.webhooks.factories import SECRET, DeliveryFactory, WebhookFactory, an_event
from tests.webhooks.receivers import Receiver, Reply, answering, dripping
from webhooks.delivery.retries import DELAYS_SECONDS
from webhooks.delivery.worker import DeliveryWorker
from webhooks.models import Attempt, Delivery, DeliveryStatus, Webhook
from webhooks.services import Rotation, rotate_secret

pytestmark = pytest.mark.django_db


def make_due() -> None:
    """Age what waits for its next attempt."""
    Delivery.objects.pending().update(next_attempt_at=Now() - timedelta(seconds=1))


def test_a_delivery_carries_what_was_promised(webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain) -> None:
    event = an_event(acme, "subscription.approved", name="café ✓")
    assert drain() == 1
    (request,) = receiver.received
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "STOA-Webhooks/1"
    assert request.headers["webhook-id"] == event.id
    assert abs(int(request.headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 5
    assert request.body.decode() == Delivery.objects.get().body
    payload = Verifier(SECRET).verify(request.body, dict(request.headers))
    assert (payload["id"], payload["data"]["name"]) == (event.id, "café ✓")


def test_a_success_is_recorded(webhook: Webhook, start_receiver: StartReceiver, acme: Tenant, drain: Drain) -> None:
    WebhookFactory(tenant=acme, url=start_receiver(Reply(201, body=b"thanks")).url)
    Webhook.objects.filter(pk=webhook.pk).delete()
    an_event(acme)
    drain()
    attempt = Attempt.objects.get()
    assert (attempt.number, attempt.response_status, attempt.error, attempt.response_excerpt) == (1, 201, "", "thanks")
    assert attempt.delivery.status == DeliveryStatus.DELIVERED


def test_a_receiver_that_always_fails_is_tried_ten_times(
    webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain
) -> None:
    receiver.reply = Reply(500)
    an_event(acme)
    for number, delay in enumerate(DELAYS_SECONDS[1:], start=1):
        assert drain() == 1
        delivery = Delivery.objects.annotate(now=Now()).get()
        assert (delivery.status, delivery.attempts.count()) == (DeliveryStatus.PENDING, number)
        waits = (delivery.next_attempt_at - delivery.now).total_seconds()
        assert delay - 1 < waits <= delay * 1.2
        make_due()
    assert drain() == 1
    delivery.refresh_from_db()
    assert (delivery.status, delivery.next_attempt_at) == (DeliveryStatus.FAILED, None)
    assert drain() == 0
    assert len(receiver.received) == delivery.attempts.count() == 10


def test_every_attempt_has_the_same_id_and_body_and_its_own_signature(
    webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain
) -> None:
    receiver.reply = Reply(500)
    an_event(acme)
    drain()
    make_due()
    receiver.reply = Reply(200)
    drain()
    first, second = receiver.received
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    for request in (first, second):
        Verifier(SECRET).verify(request.body, dict(request.headers))
    assert [attempt.number for attempt in Attempt.objects.order_by("number")] == [1, 2]


def test_during_a_rotation_receivers_with_either_secret_verify(
    webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain
) -> None:
    new = rotate_secret(webhook, Rotation(overlap_seconds=60), by=SYSTEM).secret
    an_event(acme)
    drain()
    request = receiver.received[-1]
    for secret in (new, SECRET):
        Verifier(secret).verify(request.body, dict(request.headers))
    current, _previous = request.headers["webhook-signature"].split(" ")
    assert current == Verifier(new).sign(
        request.headers["webhook-id"],
        datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC),
        request.body.decode(),
    )


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nNUL \x00 and \xff\xfe", ""),
        (b"HTTP/1.1 500 No\r\n\r\n\x00", "http_error"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Many: 1\r\n" * 1000 + b"\r\n", "http_error"),
        (b"nonsense", "http_error"),
        (b"", "connect_failed"),
    ],
)
def test_whatever_comes_back_the_attempts_recorded_are_those_sent(
    start_raw_receiver: StartRawReceiver, acme: Tenant, drain: Drain, content: bytes, error: str
) -> None:
    receiver = start_raw_receiver(answering(content))
    WebhookFactory(tenant=acme, url=receiver.url)
    an_event(acme)
    assert drain() == 1
    assert [attempt.error for attempt in Attempt.objects.all()] == [error]
    assert receiver.connections == 1


@pytest.mark.deadline
def test_a_slow_receiver_is_cut_off(start_raw_receiver: StartRawReceiver, acme: Tenant) -> None:
    WebhookFactory(tenant=acme, url=start_raw_receiver(dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x")).url)
    an_event(acme)
    with DeliveryWorker(threads=1, deadline_seconds=0.5) as worker:
        worker.drain()
    attempt = Attempt.objects.get()
    assert (attempt.error, attempt.response_status) == ("timeout", 200)
    assert 500 <= attempt.duration_ms <= 3500  # without the cut it never ends, and a loaded machine wakes up late


def test_a_receiver_that_moved_inside_is_blocked(
    webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain, settings: Settings
) -> None:
    settings.STOA_EGRESS_ALLOW = []
    an_event(acme)
    drain()
    assert Attempt.objects.get().error == "blocked_address"
    assert receiver.connections == 0


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_that_asks_for_time_gets_it(
    webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain, status: int
) -> None:
    receiver.reply = Reply(status, {"Retry-After": "3600"})
    an_event(acme)
    drain()
    delivery = Delivery.objects.annotate(now=Now()).get()
    assert 3590 < (delivery.next_attempt_at - delivery.now).total_seconds() <= 3600


def test_a_redirect_into_the_cloud_is_not_followed(
    webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.reply = Reply(302, {"Location": "http://169.254.169.254/latest/meta-data/"})
    an_event(acme)
    dialled: list[object] = []
    monkeypatch.setattr("webhooks.delivery.client.parse_target", lambda url: dialled.append(url) or parse_target(url))
    drain()
    assert dialled == [webhook.url]
    assert Attempt.objects.get().response_status == 302


@pytest.mark.deadline
def test_a_dead_receiver_with_a_long_queue_does_not_slow_the_others(
    start_receiver: StartReceiver, start_raw_receiver: StartRawReceiver, acme: Tenant
) -> None:
    """They are served in less time than a single attempt at the dead one takes."""
    dead = WebhookFactory(tenant=acme, url=start_raw_receiver(dripping(b"", b"H")).url)
    DeliveryFactory.create_batch(50, webhook=dead)
    Delivery.objects.update(next_attempt_at=Now() - timedelta(hours=1))
    healthy = start_receiver(Reply())
    for webhook in WebhookFactory.create_batch(5, tenant=acme, url=healthy.url):
        DeliveryFactory.create_batch(4, webhook=webhook)
    started_at = monotonic()
    with DeliveryWorker(threads=8, deadline_seconds=2.0) as worker:
        worker.drain(should_stop=lambda: len(healthy.received) == 20)
    assert len(healthy.received) == 20
    assert max(request.arrived_at for request in healthy.received) - started_at < 2.0


def test_a_receiver_gets_at_most_four_requests_at_once(
    webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain
) -> None:
    receiver.reply = Reply(delay_seconds=0.02)
    for _ in range(20):
        an_event(acme)
    assert drain() == 20
    assert 1 < receiver.most_at_once <= 4


def test_a_worker_that_dies_between_answer_and_settlement_loses_nothing(
    webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiver hears some of them twice, no more than were in flight, and knows by the id."""
    for _ in range(10):
        an_event(acme)

    class Killed(BaseException):
        """No handler of the worker catches this, as none catches SIGKILL."""

    def die(_outcomes: object) -> int:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("webhooks.delivery.worker.settle_attempts", die)
        with pytest.raises(Killed):
            drain()
    assert not Attempt.objects.exists()
    assert Delivery.objects.filter(token__isnull=False).count() == 4
    Delivery.objects.filter(token__isnull=False).update(next_attempt_at=F("next_attempt_at") - timedelta(seconds=31))
    drain()
    assert set(Delivery.objects.values_list("status", flat=True)) == {DeliveryStatus.DELIVERED}
    heard = Counter(receiver.ids)
    assert len(heard) == 10
    assert sum(heard.values()) <= 10 + 4


def test_a_zombie_sends_again_but_settles_nothing(
    webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain
) -> None:
    an_event(acme)
    DeliveryFactory(webhook=webhook)
    (lease,) = claim(1)
    Delivery.objects.filter(pk=lease.delivery_id).update(next_attempt_at=Now() - timedelta(seconds=1))
    drain()
    settled = list(Attempt.objects.values_list("delivery", "number").order_by("delivery"))
    with DeliveryWorker(threads=1, deadline_seconds=1.0) as worker:
        worker.submit(lease)
        assert worker.settle_finished() == 0
    assert list(Attempt.objects.values_list("delivery", "number").order_by("delivery")) == settled


def test_a_secret_that_cannot_be_opened_stops_nobody_else(
    webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain, caplog: pytest.LogCaptureFixture
) -> None:
    """Its deliveries wait for the key to come back: the lease ends, and they are tried again."""
    locked = WebhookFactory(tenant=acme, url=receiver.url, secret=base64.urlsafe_b64encode(bytes(80)))
    an_event(acme)
    assert drain() == 1
    assert "delivery_crashed" in caplog.text
    assert Delivery.objects.get(webhook=locked).token
    locked.secret = encrypt(SECRET)
    locked.save()
    make_due()
    assert drain() == 1


def test_no_secret_is_in_a_request(webhook: Webhook, receiver: Receiver, acme: Tenant, drain: Drain) -> None:
    an_event(acme)
    drain()
    request = receiver.received[0]
    assert SECRET.removeprefix("whsec_") not in f"{request.headers}{request.body.decode()}"


def test_the_worker_ends_its_threads(webhook: Webhook, acme: Tenant, drain: Drain) -> None:
    an_event(acme)
    drain()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("webhook")] == []
