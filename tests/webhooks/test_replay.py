"""Sending the events of a span of time again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stoa_cp.eventlog.models import Event
from tenants.models import Tenant
from tests.answers import MISSING_ROLE, WRONG_STATE, invalid, refusal_of
from tests.conftest import Caller
from tests.log import last_event
from tests.webhooks.conftest import Drain
from tests.webhooks.factories import WebhookFactory, an_event
from tests.webhooks.receivers import Receiver
from webhooks.models import Delivery, Webhook, WebhookStatus

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
    assert Delivery.objects.get().webhook == webhook


def test_an_event_that_waits_for_its_fan_out_is_delivered_once(
    alice: Caller, path: str, receiver: Receiver, acme: Tenant, drain: Drain
) -> None:
    an_event(acme)
    alice.post(path, span())
    drain()
    assert len(receiver.received) == 1


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
