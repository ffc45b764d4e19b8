"""The hash chain of the event log, and the command ``check_chain`` that verifies it."""

from collections.abc import Callable

import pytest
from django.db import IntegrityError, connection, transaction

from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.chain import first_broken_sequence
from stoa_cp.eventlog.emit import emit
from stoa_cp.eventlog.models import Event, EventChain, OutboxEntry
from tests.commands import refusal_of_command, run
from tests.races import at_once

pytestmark = pytest.mark.django_db

TENANT = "ten-0123456789abcdef"
OTHER = "ten-fedcba9876543210"


@pytest.fixture(autouse=True)
def chains(db: None) -> None:
    """Five events of one tenant, one of another."""
    with transaction.atomic():
        for number in range(5):
            emit("tenant.updated", tenant_id=TENANT, actor=SYSTEM, data={"number": number})
        emit("tenant.created", tenant_id=OTHER, actor=SYSTEM, data={})


def tamper(sql: str) -> None:
    """Do what only the table's owner can: switch the trigger off."""
    OutboxEntry.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE stoa_cp_event DISABLE TRIGGER event_is_immutable")
        cursor.execute(sql)
        cursor.execute("ALTER TABLE stoa_cp_event ENABLE TRIGGER event_is_immutable")


def row(sequence: int) -> str:
    return f"tenant_id = '{TENANT}' AND sequence = {sequence}"


def test_whole_chains_are_reported_as_such() -> None:
    assert run("check_chain") == ["2 chains are whole."]
    assert run("check_chain", TENANT) == ["1 chains are whole."]


@pytest.mark.parametrize(
    "change",
    [
        """data = '{"number": 7}'""",
        """changes = '{"tier": ["free", "business"]}'""",
        "type = 'tenant.deleted'",
        "actor = 'operator:olga'",
        "timestamp = timestamp - interval '1 microsecond'",
        "request_id = 'r-1'",
        "address = '192.0.2.7'",
        "previous_hash = decode(repeat('00', 32), 'hex')",
        "hash = decode(repeat('00', 32), 'hex')",
        "id = 'evt-0123456789abcdef'",
    ],
)
def test_an_altered_row_is_named(change: str) -> None:
    tamper(f"UPDATE stoa_cp_event SET {change} WHERE {row(3)}")  # noqa: S608 - both parts stand above

    assert first_broken_sequence(TENANT) == 3
    assert first_broken_sequence(OTHER) is None
    assert refusal_of_command("check_chain").endswith("1 of 2 chains are broken.")


def test_the_command_prints_the_row() -> None:
    event = Event.objects.get(tenant_id=TENANT, sequence=3)
    tamper(f"UPDATE stoa_cp_event SET actor = 'mallory' WHERE {row(3)}")  # noqa: S608 - as above
    tamper(f"DELETE FROM stoa_cp_event WHERE tenant_id = '{OTHER}'")  # noqa: S608 - as above

    *lines, failure = refusal_of_command("check_chain").splitlines()

    assert lines == [
        f"The chain of {TENANT} is broken at event 3, {event.id}.",
        f"The chain of {OTHER} is broken at event 1, which is missing.",
    ]
    assert failure == "2 of 2 chains are broken."


@pytest.mark.parametrize("sequence", [1, 3, 5])
def test_a_missing_row_is_named(sequence: int) -> None:
    tamper(f"DELETE FROM stoa_cp_event WHERE {row(sequence)}")  # noqa: S608 - as above

    assert first_broken_sequence(TENANT) == sequence


def test_a_log_that_was_emptied_is_named() -> None:
    tamper("DELETE FROM stoa_cp_event")

    assert refusal_of_command("check_chain").endswith("2 of 2 chains are broken.")


def test_a_row_that_was_added_is_named() -> None:
    columns = "tenant_id, type, timestamp, actor, request_id, data, changes, previous_hash, hash"
    tamper(
        f"INSERT INTO stoa_cp_event (id, sequence, {columns}) "  # noqa: S608 - as above
        f"SELECT 'evt-0123456789abcdef', 6, {columns} FROM stoa_cp_event WHERE {row(5)}"
    )

    assert first_broken_sequence(TENANT) == 6


def test_a_head_that_was_set_back_or_removed_is_noticed() -> None:
    EventChain.objects.filter(tenant_id=TENANT).update(sequence=4)
    assert first_broken_sequence(TENANT) == 5
    EventChain.objects.filter(tenant_id=TENANT).update(sequence=5, hash=bytes(32))
    assert first_broken_sequence(TENANT) == 5
    EventChain.objects.filter(tenant_id=TENANT).delete()
    assert first_broken_sequence(TENANT) == 1
    assert refusal_of_command("check_chain").endswith("1 of 2 chains are broken.")


@pytest.mark.parametrize(
    "change",
    [
        lambda: Event.objects.filter(tenant_id=TENANT).update(actor="mallory"),
        lambda: Event.objects.filter(tenant_id=TENANT)._raw_delete("default"),  # delete() begins with OutboxEntry
    ],
)
def test_the_database_refuses_to_change_the_log(change: Callable[[], object]) -> None:
    with pytest.raises(IntegrityError, match="the event log is append-only"), transaction.atomic():
        change()

    assert first_broken_sequence(TENANT) is None


@pytest.mark.django_db(transaction=True)
def test_a_walk_goes_on_while_events_are_appended() -> None:
    def append() -> None:
        for number in range(20):
            with transaction.atomic():
                emit("tenant.updated", tenant_id=TENANT, actor=SYSTEM, data={"number": number})

    def walk() -> None:
        for _round in range(20):
            assert first_broken_sequence(TENANT) is None

    at_once(append, walk, walk)
