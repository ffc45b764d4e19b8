"""Verifying a log over REST: from a signed checkpoint on, bounded, and one call at a time."""

import base64
from collections.abc import Callable
from threading import Event as Flag
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection

from stoa_cp.eventlog import checkpoints, verification
from stoa_cp.eventlog.checkpoints import sign_new_events, trusted_checkpoint
from stoa_cp.eventlog.emit import PLATFORM_LOG
from stoa_cp.eventlog.models import Event, EventChain, EventCheckpoint
from stoa_cp.eventlog.verification import VerificationUnderWay, verify_chain
from tenants.models import Tenant
from tests.conftest import Caller
from tests.races import at_once, outcome_of
from tests.security.tampering import append, cut_off, delete_events, rewrite, triggers_off

pytestmark = pytest.mark.django_db

URL = "/v1/tenants/acme/events/verify"


@pytest.fixture
def log(acme: Tenant) -> str:
    """Ten events, a checkpoint at the tenth, and three more. Returns whose they are."""
    append(acme.id, 10)
    sign_new_events()
    append(acme.id, 3)
    return acme.id


def answer(caller: Caller, query: str = "") -> tuple[Any, ...]:
    """Return whether the log is intact, the first broken event, and which events were checked."""
    body = caller.get(f"{URL}{query}").json()
    return body["intact"], body["first_broken_cursor"], body["from"], body["to"]


def test_a_verification_begins_at_the_last_checkpoint_and_says_so(victor: Caller, log: str) -> None:
    body = victor.get(URL).json()

    assert (body["intact"], body["from"], body["to"], body["events"]) == (True, "10", "13", 13)
    assert (body["checkpoint"]["tenant_id"], body["checkpoint"]["sequence"]) == (log, 10)
    assert answer(victor, "?from=1") == (True, None, "1", "13")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?from=2&to=5", (True, None, "2", "5")),
        ("?from=13", (True, None, "13", "13")),
        ("?to=12", (True, None, "10", "12")),
        ("?to=10", (True, None, "10", "10")),
        ("?to=9", (True, None, "1", "9")),
        ("?from=000001&to=1", (True, None, "1", "1")),
    ],
)
def test_a_range_is_verified(victor: Caller, log: str, query: str, expected: tuple[Any, ...]) -> None:
    assert answer(victor, query) == expected


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?from=0", "from"),
        ("?from=14", "from"),
        ("?from=5&to=4", "to"),
        ("?to=14", "to"),
        ("?to=0", "to"),
        ("?from=-1", "from"),
        ("?from=x", "from"),
        ("?from=", "from"),
        ("?from=٣", "from"),
        ("?to=" + "9" * 19, "to"),
        ("?since=1", "since"),
        ("?from=1&from=2", "from"),
    ],
)
def test_a_range_that_is_none_is_refused(victor: Caller, log: str, query: str, field: str) -> None:
    response = victor.get(f"{URL}{query}")

    assert response.status_code == 400
    assert response.json()["error"]["details"][0]["field"] == field


def test_an_empty_log_has_no_range(victor: Caller, acme: Tenant) -> None:
    assert answer(victor) == (True, None, None, None)
    assert victor.get(f"{URL}?from=1").status_code == 400


@pytest.mark.parametrize(("broken", "since_checkpoint"), [(1, None), (9, None), (10, "10"), (11, "11"), (13, "13")])
def test_a_change_is_found_where_it_lies_in_the_range(
    victor: Caller, log: str, broken: int, since_checkpoint: str | None
) -> None:
    with triggers_off():
        Event.objects.filter(tenant_id=log, sequence=broken).update(actor="mallory")

    assert answer(victor, "?from=1") == (False, str(broken), "1", "13")
    assert answer(victor)[1] == since_checkpoint


def test_of_two_faults_the_first_is_named(victor: Caller, log: str) -> None:
    rewrite(log, 10)
    with triggers_off():
        Event.objects.filter(tenant_id=log, sequence=12).update(actor="mallory")

    assert answer(victor)[1] == "10"


@pytest.mark.parametrize(("missing", "since_checkpoint"), [(1, None), (9, "9"), (10, "10"), (11, "11"), (13, "13")])
def test_a_missing_event_is_found(victor: Caller, log: str, missing: int, since_checkpoint: str | None) -> None:
    with triggers_off():
        delete_events(tenant_id=log, sequence=missing)

    assert answer(victor, "?from=1")[1] == str(missing)
    assert answer(victor)[1] == since_checkpoint


def test_a_log_that_was_hashed_again_contradicts_its_checkpoint(victor: Caller, log: str) -> None:
    rewrite(log, 4)

    assert answer(victor, "?from=1") == (True, None, "1", "13")
    assert answer(victor) == (False, "10", "10", "13")


def test_a_log_that_ends_before_its_checkpoint_is_broken(victor: Caller, log: str) -> None:
    cut_off(log, after=7)

    assert answer(victor) == (False, "8", None, None)


def test_a_checkpoint_that_our_key_has_not_signed_does_not_count(victor: Caller, log: str, settings: Any) -> None:
    rewrite(log, 4)
    head = EventChain.objects.get(tenant_id=log)
    EventCheckpoint.objects.filter(tenant_id=log).update(sequence=head.sequence, hash=bytes(head.hash))

    body = victor.get(URL).json()
    assert (body["checkpoint"], body["from"]) == (None, "1")
    sign_new_events()
    assert victor.get(URL).json()["checkpoint"]["sequence"] == 13
    settings.STOA_AUDIT_KEYS = [base64.b64encode(b"o" * 32).decode()]
    assert victor.get(URL).json()["checkpoint"] is None


@pytest.mark.parametrize("field", ["key_id", "signature", "at"])
def test_a_checkpoint_of_nonsense_does_not_count(log: str, field: str) -> None:
    EventCheckpoint.objects.filter(tenant_id=log).update(**{field: "é"})

    assert trusted_checkpoint(log) is None


def test_the_checkpoint_of_another_chain_does_not_count(log: str, globex: Tenant) -> None:
    append(globex.id, 20)
    sign_new_events()
    other = EventCheckpoint.objects.values("sequence", "hash", "at", "key_id", "signature").get(tenant_id=globex.id)
    EventCheckpoint.objects.filter(tenant_id=log).update(**other)

    assert trusted_checkpoint(log) is None


def signed(caplog: pytest.LogCaptureFixture, event: str = "event_chain_signed") -> list[tuple[str, int]]:
    lines = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [(line["tenant_id"], line["sequence"]) for line in lines if line["event"] == event]


def test_each_new_head_is_logged_once(log: str, caplog: pytest.LogCaptureFixture) -> None:
    append(PLATFORM_LOG, 1)
    sign_new_events()
    sign_new_events()

    assert sorted(signed(caplog)) == sorted([(log, 13), (PLATFORM_LOG, 1)])


def test_a_broken_chain_gets_no_checkpoint_and_a_line_at_each_run(log: str, caplog: pytest.LogCaptureFixture) -> None:
    with triggers_off():
        Event.objects.filter(tenant_id=log, sequence=12).update(actor="mallory")
    sign_new_events()
    sign_new_events()

    assert signed(caplog, "event_chain_broken") == [(log, 12)] * 2
    checkpoint = trusted_checkpoint(log)
    assert checkpoint
    assert checkpoint.sequence == 10


def test_a_changed_head_gets_no_checkpoint(log: str, caplog: pytest.LogCaptureFixture) -> None:
    EventChain.objects.filter(tenant_id=log).update(hash=bytes(32))
    sign_new_events()

    assert signed(caplog, "event_chain_broken") == [(log, 13)]


def test_a_long_chain_is_signed_in_portions_and_in_turns(
    log: str, globex: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    append(log, 7)
    append(globex.id, 5)
    with patch.object(checkpoints, "EVENTS_AT_ONCE", 4):
        sign_new_events()

    assert [sequence for tenant, sequence in signed(caplog) if tenant == log] == [14, 18, 20]
    assert [sequence for tenant, sequence in signed(caplog) if tenant == globex.id] == [4, 5]


def test_a_run_ends_when_its_time_is_over(log: str, caplog: pytest.LogCaptureFixture) -> None:
    sign_new_events(seconds=-1)

    assert signed(caplog) == []


def test_without_a_key_there_are_no_checkpoints(victor: Caller, acme: Tenant, settings: Any) -> None:
    settings.STOA_AUDIT_KEYS = []
    append(acme.id, 2)
    sign_new_events()

    assert answer(victor) == (True, None, "1", "2")
    assert not EventCheckpoint.objects.exists()


def test_one_call_checks_a_bounded_number_of_events(victor: Caller, log: str) -> None:
    with patch.object(verification, "MAX_EVENTS", 4):
        assert answer(victor, "?from=1") == (True, None, "1", "4")
        assert answer(victor, "?from=5") == (True, None, "5", "8")
        assert answer(victor) == (True, None, "10", "13")


class Pause:
    """Holds a walk until it may go on, as a long log would."""

    def __init__(self) -> None:
        self.begun, self.may_end = Flag(), Flag()

    def __call__(self, *args: Any) -> Any:
        self.begun.set()
        assert self.may_end.wait(20)
        return checkpoints.walk(*args)


@pytest.fixture
def pause() -> Any:
    pause = Pause()
    with patch.object(verification, "walk", pause):
        yield pause


def while_verifying(pause: Pause, tenant_id: str, call: Callable[[], Any]) -> Any:
    """Return what the call returns while another thread verifies a log."""

    def second() -> Any:
        assert pause.begun.wait(20)
        try:
            return call()
        finally:
            pause.may_end.set()

    first, result = at_once(outcome_of(lambda: verify_chain(tenant_id)), second)
    assert first.intact
    return result


@pytest.mark.django_db(transaction=True)
def test_of_two_calls_in_a_process_the_second_is_told_to_wait(
    pause: Pause, log: str, bob: Caller, globex: Tenant
) -> None:
    append(globex.id, 1)
    response = while_verifying(pause, log, lambda: bob.get("/v1/tenants/globex/events/verify"))

    assert (response.status_code, response["Retry-After"]) == (429, "5")
    error = response.json()["error"]
    assert (error["code"], error["details"][0]["code"]) == ("rate_limited", "too_many_at_once")
    assert bob.get("/v1/tenants/globex/events/verify").json()["intact"]


@pytest.mark.django_db(transaction=True)
def test_of_two_calls_for_one_log_in_two_processes_the_second_is_told_to_wait(
    pause: Pause, log: str, globex: Tenant
) -> None:
    append(globex.id, 1)

    def in_another_process(tenant_id: str) -> Callable[[], Any]:
        def call() -> Any:
            with (
                patch.object(verification, "_process_slot", verification.Lock()),
                patch.object(verification, "walk", checkpoints.walk),
            ):
                return verify_chain(tenant_id)

        return outcome_of(call)

    results = while_verifying(pause, log, lambda: [in_another_process(log)(), in_another_process(globex.id)()])

    assert isinstance(results[0], VerificationUnderWay)
    assert results[1].intact


@pytest.mark.django_db(transaction=True)
def test_after_a_failure_the_next_call_is_let_in(log: str) -> None:
    with patch.object(verification, "walk", side_effect=RuntimeError), pytest.raises(RuntimeError):
        verify_chain(log)

    assert verify_chain(log).intact
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7862")
        assert cursor.fetchone() == (0,)
