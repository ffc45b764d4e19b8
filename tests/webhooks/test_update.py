"""Changing and deleting a webhook."""

import pytest

from tests.answers import MISSING_ROLE, NOT_FOUND, refusal_of, refused_fields
from tests.conftest import Caller
from tests.log import last_event, types
from tests.webhooks.conftest import Drain
from tests.webhooks.factories import DeliveryFactory, an_event
from tests.webhooks.receivers import Receiver
from webhooks.models import Delivery, DeliveryStatus, Webhook

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(webhook: Webhook) -> str:
    return f"/v1/tenants/acme/webhooks/{webhook.id}"


def test_the_given_fields_change(alice: Caller, path: str) -> None:
    before = alice.get(path).json()
    after = alice.patch(path, {"events": ["api.*"], "description": "for the team"})
    assert after.status_code == 200
    assert after.json() | {"updated_at": ""} == before | {
        "events": ["api.*"],
        "description": "for the team",
        "updated_at": "",
    }
    event = last_event()
    assert event.type == "webhook.updated"
    assert event.changes == {"events": [["*"], ["api.*"]], "description": ["", "for the team"]}


def test_what_was_read_may_be_sent_back(alice: Caller, path: str) -> None:
    read = alice.get(path).json()
    assert alice.patch(path, read | {"url": "https://moved.example/"}).json()["url"] == "https://moved.example/"
    assert alice.patch(path, {}).status_code == 200
    assert types() == ["webhook.updated"]


@pytest.mark.parametrize(
    "change",
    [
        {"secret": "whsec_abc123"},
        {"secret_hint": "whsec_…"},
        {"secret_strength": "weak"},
        {"disabled_reason": "because"},
        {"status": "paused"},
        {"status": None},
        {"events": []},
        {"url": "https://10.0.0.1/"},
        {"url": None},
        {"created_at": "2020-01-01T00:00:00Z"},
    ],
)
def test_a_bad_change_is_refused_by_name(alice: Caller, path: str, change: dict[str, object]) -> None:
    answer = alice.patch(path, change)
    assert answer.status_code == 400
    assert list(refused_fields(answer)) == list(change)
    assert types() == []


def test_a_stale_change_is_refused(alice: Caller, path: str) -> None:
    tag = alice.get(path)["ETag"]
    assert alice.patch(path, {"description": "first"}, If_Match=tag).status_code == 200
    assert alice.patch(path, {"description": "second"}, If_Match=tag).status_code == 412


def test_readers_change_nothing(victor: Caller, path: str) -> None:
    assert refusal_of(victor.patch(path, {"description": "x"})) == MISSING_ROLE
    assert refusal_of(victor.delete(path)) == MISSING_ROLE


def test_a_deleted_webhook_is_gone(
    alice: Caller, path: str, webhook: Webhook, receiver: Receiver, drain: Drain
) -> None:
    pending = DeliveryFactory(webhook=webhook)
    answer = alice.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert refusal_of(alice.delete(path)) == refusal_of(alice.get(path)) == NOT_FOUND
    assert last_event().type == "webhook.deleted"
    an_event(webhook.tenant)
    assert drain() == 0
    assert receiver.received == []
    pending.refresh_from_db()
    assert pending.status == DeliveryStatus.FAILED
    assert Delivery.objects.count() == 1
