"""Sending the events of a span of time again."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.models import Event
from tenants.models import Tenant
from tests.answers import MISSING_ROLE, WRONG_STATE, invalid, refusal_of
from tests.conftest import Caller
from tests.log import last_event
from tests.races import at_once
from tests.webhooks.conftest import Drain
from tests.webhooks.factories import WebhookFactory, an_event, an_old_event
from tests.webhooks.receivers import Receiver
from webhooks.delivery.replay import continue_replay, replay
from webhooks.models import Delivery, Replay, Webhook, WebhookStatus
from webhooks.services import delete_webhook

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(webhook: Webhook) -> str:
    return f"/v1/tenants/acme/webhooks/{webhook.id}/replay"


def span(minutes: int = 60) -> dict[str, str]:
    return {"since": f"{datetime.now(UTC) - timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"}


def test_what_was_delivered_is_delivered_again(
    alice: Caller, path: str, receiver: Receiver, acme: Tenant, drain: Drain
) -> None:
    event = an_event(acme)
    drain()
    answer = alice.post(path, span())
    assert (answer.status_code, answer.json()) == (202, {"deliveries": 1})
    drain()
    assert receiver.ids == [event.id, event.id]
    assert last_event().type == "webhook.replayed"


def test_what_happened_before_the_webhook_is_delivered_for_the_first_time(
    alice: Caller, receiver: Receiver, acme: Tenant, globex: Tenant, drain: Drain
) -> None:
    told, *_untold = an_event(acme, "api.created"), an_event(acme, "tenant.updated"), an_event(globex, "api.created")
    drain()
    late = WebhookFactory(tenant=acme, url=receiver.url, events=["api.*"])
    assert alice.post(f"/v1/tenants/acme/webhooks/{late.id}/replay", span()).json() == {"deliveries": 1}
    drain()
    assert receiver.ids == [told.id]


def test_only_the_span_is_replayed(alice: Caller, path: str, acme: Tenant, webhook: Webhook) -> None:
    an_event(acme)
    moment = Event.objects.get().timestamp
    before, after = (f"{moment + timedelta(seconds=shift):%Y-%m-%dT%H:%M:%SZ}" for shift in (-10, 10))
    long_before = f"{moment - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    assert alice.post(path, {"since": long_before, "until": before}).json() == {"deliveries": 0}
    assert alice.post(path, {"since": before, "until": after}).json() == {"deliveries": 1}
    assert continue_replay()
    assert Delivery.objects.get().webhook == webhook


def test_an_event_that_waits_for_its_fan_out_is_delivered_once(
    alice: Caller, path: str, receiver: Receiver, acme: Tenant, drain: Drain
) -> None:
    an_event(acme)
    alice.post(path, span())
    drain()
    assert len(receiver.received) == 1


# --- Portions ---


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhooks.delivery.replay.REPLAY_PORTION_SIZE", 2)


@pytest.mark.usefixtures("small_portions")
def test_a_replay_is_written_in_portions(
    alice: Caller, path: str, receiver: Receiver, acme: Tenant, drain: Drain
) -> None:
    events = [an_old_event(acme) for _number in range(5)]
    assert alice.post(path, span()).json() == {"deliveries": 5}
    assert not Delivery.objects.exists()
    assert continue_replay()
    assert Delivery.objects.count() == 2
    drain()
    assert sorted(receiver.ids) == sorted(event.id for event in events)
    assert not Replay.objects.exists()
    assert not continue_replay()


@pytest.mark.usefixtures("small_portions")
def test_replays_are_continued_by_turns(acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        for _number in range(4):
            an_old_event(tenant)
        replay(WebhookFactory(tenant=tenant), datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC), by=SYSTEM)
    continue_replay()
    continue_replay()
    assert Counter(Delivery.objects.values_list("tenant", flat=True)) == {acme.id: 2, globex.id: 2}


@pytest.mark.usefixtures("small_portions")
def test_a_webhook_has_one_replay_at_a_time(alice: Caller, path: str, acme: Tenant) -> None:
    an_event(acme)
    assert alice.post(path, span()).status_code == 202
    assert refusal_of(alice.post(path, span())) == WRONG_STATE
    continue_replay()
    assert alice.post(path, span()).status_code == 202


def test_the_replay_of_a_disabled_webhook_waits(alice: Caller, path: str, acme: Tenant) -> None:
    an_old_event(acme)
    alice.post(path, span())
    Webhook.objects.update(status=WebhookStatus.DISABLED)
    assert not continue_replay()
    Webhook.objects.update(status=WebhookStatus.ENABLED)
    assert continue_replay()
    assert Delivery.objects.count() == 1


def test_the_replay_of_a_deleted_webhook_ends(alice: Caller, path: str, acme: Tenant, webhook: Webhook) -> None:
    an_old_event(acme)
    alice.post(path, span())
    delete_webhook(webhook, by=SYSTEM)
    assert not continue_replay()
    assert not Replay.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_workers_share_the_replays(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the lock and both write the same portion: the second waits for the first one's rows, and adds nothing."""
    monkeypatch.setattr("webhooks.delivery.replay.REPLAY_PORTION_SIZE", 2)
    for _number in range(6):
        an_old_event(acme)
    webhooks = WebhookFactory.create_batch(2, tenant=acme)
    for webhook in webhooks:
        replay(webhook, datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC), by=SYSTEM)
    assert at_once(*[continue_replay] * 2) == [True, True]
    assert sorted(Counter(Delivery.objects.values_list("webhook", flat=True)).values()) == [2, 2]


def test_too_much_at_once_is_refused(alice: Caller, path: str, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhooks.delivery.replay.MAX_REPLAYED_EVENTS", 2)
    for _ in range(3):
        an_event(acme)
    assert refusal_of(alice.post(path, span())) == invalid("since")


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({}, invalid("since", "required")),
        ({"since": "2026-01-09"}, invalid("since", "no_offset")),
        ({"since": "2026-01-09T10:00:00"}, invalid("since", "no_offset")),
        ({"since": "today"}, invalid("since")),
        ({"since": 1767952800}, invalid("since")),
        ({"since": "2026-01-09T10:00:00Z", "until": "2026-01-09T10:00:00Z"}, invalid("since")),
        ({"since": "2026-01-09T10:00:00Z", "until": None}, invalid("until", "null")),
        ({"since": "9999-12-31T23:59:59Z"}, invalid("since")),
        ({"since": "2026-01-09T10:00:00Z", "to": "x"}, invalid("to", "unknown_field")),
    ],
)
def test_a_bad_span_is_refused(alice: Caller, path: str, body: dict[str, Any], refusal: tuple[Any, ...]) -> None:
    assert refusal_of(alice.post(path, body)) == refusal


def test_a_disabled_webhook_is_not_replayed_to(alice: Caller, path: str) -> None:
    Webhook.objects.update(status=WebhookStatus.DISABLED)
    assert refusal_of(alice.post(path, span())) == WRONG_STATE


def test_readers_replay_nothing(victor: Caller, path: str) -> None:
    assert refusal_of(victor.post(path, span())) == MISSING_ROLE
