"""The event log over REST: the audit trail in order of commit, by type, onwards from a cursor."""

import pytest
from django.db import connection, transaction

from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.emit import emit
from stoa_cp.eventlog.models import Event, OutboxEntry
from tenants.models import Tenant
from tests.answers import NOT_FOUND, invalid, refusal_of
from tests.conftest import Caller
from tests.log import subject

pytestmark = pytest.mark.django_db

URL = "/v1/tenants/acme/events"


@pytest.fixture
def log(acme: Tenant, globex: Tenant) -> list[Event]:
    """Four events of acme; one of globex, which acme must never see."""
    types = ("tenant.created", "subscription.created", "subscription.approved", "api.created")
    with transaction.atomic():
        emit("tenant.created", tenant_id=globex.id, actor=SYSTEM, data={})
        return [emit(type_, tenant_id=acme.id, actor=SYSTEM, data={"id": type_}) for type_ in types]


def types(page: dict) -> list[str]:
    return [item["type"] for item in page["items"]]


def test_events_come_oldest_first_and_only_ones_own(victor: Caller, log: list[Event]) -> None:
    page = victor.get(URL).json()

    assert [item["id"] for item in page["items"]] == [event.id for event in log]
    assert [item["cursor"] for item in page["items"]] == ["1", "2", "3", "4"]
    assert page["next_cursor"] is None


def test_an_event_tells_who_did_what_in_which_request(alice: Caller, acme: Tenant) -> None:
    response = alice.patch("/v1/tenants/acme", {"admin_email": "new@acme.example"}, X_Request_Id="r-7")
    (event,) = alice.get(URL).json()["items"]

    assert set(event) == {"id", "cursor", "type", "timestamp", "actor", "request_id", "data", "changes"}
    assert event["type"] == "tenant.updated"
    assert event["actor"] == subject("alice")
    assert event["request_id"] == response["X-Request-Id"]
    assert event["changes"] == {"admin_email": ["admin@example.com", "new@acme.example"]}
    assert event["data"]["id"] == acme.id


def test_the_cursor_goes_on_where_it_stood(alice: Caller, log: list[Event]) -> None:
    first = alice.get(f"{URL}?limit=3").json()
    second = alice.get(f"{URL}?limit=3&after={first['next_cursor']}").json()

    assert types(first) == ["tenant.created", "subscription.created", "subscription.approved"]
    assert types(second) == ["api.created"]
    assert second["next_cursor"] is None


def test_what_is_appended_later_comes_after_the_last_cursor(alice: Caller, acme: Tenant, log: list[Event]) -> None:
    last = alice.get(URL).json()["items"][-1]["cursor"]
    assert alice.get(f"{URL}?after={last}").json()["items"] == []

    with transaction.atomic():
        emit("api.deleted", tenant_id=acme.id, actor=SYSTEM, data={})

    assert types(alice.get(f"{URL}?after={last}").json()) == ["api.deleted"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("subscription.approved", ["subscription.approved"]),
        ("subscription.*", ["subscription.created", "subscription.approved"]),
        ("*", ["tenant.created", "subscription.created", "subscription.approved", "api.created"]),
        ("webhook.created", []),
    ],
)
def test_the_type_is_a_filter(alice: Caller, log: list[Event], pattern: str, expected: list[str]) -> None:
    assert types(alice.get(f"{URL}?type={pattern}").json()) == expected


def test_the_filter_and_the_cursor_go_together(alice: Caller, log: list[Event]) -> None:
    first = alice.get(f"{URL}?type=subscription.*&limit=1").json()
    second = alice.get(f"{URL}?type=subscription.*&limit=1&after={first['next_cursor']}").json()

    assert types(first) + types(second) == ["subscription.created", "subscription.approved"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    "query",
    [
        "after=", "after=x", "after=-1", "after=1.5", "after=١", "after=" + "9" * 19, "after=%00",
        "type=", "type=subscription", "type=%25", "type=a.%00", "type=_.*.*", "type=A.b",
        "limit=0", "limit=x", "page=1", "q=x", "sort=type",
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_by_name(alice: Caller, log: list[Event], query: str) -> None:
    response = alice.get(f"{URL}?{query}")

    assert response.status_code == 400
    assert response.json()["error"]["details"][0]["field"] == query.split("=", maxsplit=1)[0]


def test_an_underscore_is_no_wildcard(alice: Caller, acme: Tenant) -> None:
    with transaction.atomic():
        emit("webhook.created", tenant_id=acme.id, actor=SYSTEM, data={})

    assert types(alice.get(f"{URL}?type=web_ook.*").json()) == []


def test_a_limit_above_a_hundred_is_a_hundred(alice: Caller, log: list[Event]) -> None:
    assert alice.get(f"{URL}?limit=5000").json()["limit"] == 100
    assert refusal_of(alice.get(f"{URL}?limit=0")) == invalid("limit")


def test_a_stranger_finds_no_log(bob: Caller, log: list[Event]) -> None:
    assert refusal_of(bob.get(URL)) == NOT_FOUND
    assert refusal_of(bob.get(f"{URL}/verify")) == NOT_FOUND


def test_a_log_as_it_was_written_is_intact(victor: Caller, log: list[Event]) -> None:
    assert victor.get(f"{URL}/verify").json() == {
        "intact": True,
        "events": 4,
        "head": bytes(log[-1].hash).hex(),
        "first_broken_cursor": None,
        "from": "1",
        "to": "4",
        "checkpoint": None,
    }


def test_an_empty_log_is_intact(victor: Caller, acme: Tenant) -> None:
    assert victor.get(f"{URL}/verify").json() == {
        "intact": True,
        "events": 0,
        "head": "00" * 32,
        "first_broken_cursor": None,
        "from": None,
        "to": None,
        "checkpoint": None,
    }


def test_an_altered_event_is_named(victor: Caller, log: list[Event]) -> None:
    OutboxEntry.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE stoa_cp_event DISABLE TRIGGER event_is_immutable")
        cursor.execute("UPDATE stoa_cp_event SET actor = 'somebody else' WHERE id = %s", [log[1].id])
        cursor.execute("ALTER TABLE stoa_cp_event ENABLE TRIGGER event_is_immutable")

    verdict = victor.get(f"{URL}/verify").json()

    assert (verdict["intact"], verdict["first_broken_cursor"]) == (False, "2")
