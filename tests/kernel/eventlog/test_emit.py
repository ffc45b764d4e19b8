"""Writing the event log."""

from typing import Any

import pytest
from django.db import transaction
from pytest_django import Settings
from structlog.contextvars import bound_contextvars

from stoa_cp.domain.actors import SYSTEM, Actor
from stoa_cp.eventlog.chain import first_broken_sequence
from stoa_cp.eventlog.emit import EventDraft, emit, emit_all
from stoa_cp.eventlog.models import Event, EventChain, OutboxEntry
from tests.conftest import Caller
from tests.factories import TenantFactory
from tests.races import at_once

pytestmark = pytest.mark.django_db

TENANT = "ten-0123456789abcdef"


def emit_one(tenant_id: str = TENANT, **data: Any) -> Event:
    with transaction.atomic():
        return emit("tenant.updated", tenant_id=tenant_id, actor=SYSTEM, data=data)


@pytest.mark.django_db(transaction=True)
def test_an_event_without_a_change_is_refused() -> None:
    with pytest.raises(transaction.TransactionManagementError, match=r"tenant\.updated was emitted outside"):
        emit("tenant.updated", tenant_id=TENANT, actor=SYSTEM, data={})

    assert not Event.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_event_goes_with_its_change() -> None:
    with transaction.atomic():
        emit("tenant.updated", tenant_id=TENANT, actor=SYSTEM, data={})
        transaction.set_rollback(True)

    assert not Event.objects.exists()
    assert not EventChain.objects.exists()
    assert emit_one().sequence == 1


def test_a_set_of_events_is_appended_in_order() -> None:
    emit_one()
    with transaction.atomic():
        events = emit_all([EventDraft("tenant.updated", {"n": n}) for n in range(3)], tenant_id=TENANT, actor=SYSTEM)

    assert [(event.sequence, event.data) for event in events] == [(2, {"n": 0}), (3, {"n": 1}), (4, {"n": 2})]
    assert first_broken_sequence(TENANT) is None
    assert EventChain.objects.get(tenant_id=TENANT).sequence == OutboxEntry.objects.count() == 4


def test_a_set_takes_as_many_statements_as_one_event(django_assert_num_queries: Any) -> None:
    with transaction.atomic(), django_assert_num_queries(5):
        emit_all([EventDraft("tenant.updated", {"n": n}) for n in range(100)], tenant_id=TENANT, actor=SYSTEM)


def test_an_event_waits_for_its_fan_out() -> None:
    event = emit_one()

    assert OutboxEntry.objects.get().event == event


def test_an_event_tells_who_from_where_and_in_which_request() -> None:
    actor = Actor(id="7f", roles=frozenset({"viewer"}))
    with bound_contextvars(request_id="r-1", address="192.0.2.7"), transaction.atomic():
        event = emit("tenant.updated", tenant_id=TENANT, actor=actor, data={"a": 1}, changes={"a": [0, 1]})

    stored = Event.objects.get(pk=event.pk)
    assert (stored.actor, stored.request_id, stored.address) == ("7f", "r-1", "192.0.2.7")
    assert (stored.data, stored.changes) == ({"a": 1}, {"a": [0, 1]})


def test_each_tenant_counts_from_one() -> None:
    first, second = TenantFactory().id, TenantFactory().id

    assert [emit_one(tenant).sequence for tenant in (first, second, first)] == [1, 1, 2]


@pytest.mark.parametrize(
    "data",
    [
        {"text": 'é "\\ \u2028 😀', "b": 1, "a": {"z": [None, True, 0.1, 100.0, -5], "y": ""}},
        {"multiplier": 33.333333333333336, "quota": 10**15},
        {},
    ],
)
def test_what_is_stored_has_the_hash_of_what_was_written(data: dict[str, Any]) -> None:
    emit_one(**data)

    assert first_broken_sequence(TENANT) is None


@pytest.mark.parametrize(
    ("peer", "forwarded", "stored"),
    [
        ("192.0.2.7", "", "192.0.2.7"),
        ("2001:0DB8:0:0::0001", "", "2001:db8::1"),
        ("::ffff:192.0.2.7", "", "192.0.2.7"),
        ("fe80::1%eth0", "", "fe80::1"),
        ("::ffff:10.0.0.1", "2001:DB8::A", "2001:db8::a"),
    ],
)
def test_an_address_has_one_spelling(olga: Caller, settings: Settings, peer: str, forwarded: str, stored: str) -> None:
    settings.STOA_TRUSTED_PROXIES = ["10.0.0.0/8"]
    body = {"name": "acme", "tier": "free", "admin_email": "admin@acme.com", "region": "us-east-1"}
    olga.move_to(peer)

    tenant = olga.post("/v1/tenants", body, X_Forwarded_For=forwarded).json()

    assert Event.objects.get().address == stored
    assert first_broken_sequence(tenant["id"]) is None


@pytest.mark.django_db(transaction=True)
def test_the_sequence_has_no_gaps_under_eight_threads() -> None:
    def work() -> None:
        for number in range(10):
            with transaction.atomic():
                emit("tenant.updated", tenant_id=TENANT, actor=SYSTEM, data={"number": number})
                if number % 5 == 4:  # what is rolled back leaves no hole
                    transaction.set_rollback(True)

    at_once(*[work] * 8)

    sequences = list(Event.objects.order_by("sequence").values_list("sequence", flat=True))
    assert sequences == list(range(1, 65))
    assert first_broken_sequence(TENANT) is None
