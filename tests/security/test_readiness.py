"""What /readyz costs: anybody may call it, as often as they like."""

import time
from collections.abc import Iterator
from threading import Event, Lock, Thread

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.test.utils import CaptureQueriesContext

from stoa_cp.observability import health
from tests.races import at_once
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _first_probe_of_a_process() -> Iterator[None]:
    health.readiness.forget()
    yield
    health.readiness.forget()


class Counter:
    """A check that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self._lock = Lock()

    def __call__(self) -> bool:
        with self._lock:
            self.calls += 1
        time.sleep(0.05)  # so that the others of a burst arrive meanwhile
        return True


class Stuck:
    """A check that waits for a database that does not answer."""

    def __init__(self) -> None:
        self.entered, self.released = Event(), Event()

    def __call__(self) -> bool:
        self.entered.set()
        return self.released.wait(20)


def probe() -> tuple[int, dict[str, str]]:
    response = Client().get("/readyz")
    return response.status_code, response.json()["components"]


def test_a_burst_costs_one_check(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter()
    monkeypatch.setattr(health, "CHECKS", {"database": counter})

    assert at_once(*[probe] * 16, connects=False) == [(200, {"database": "ok"})] * 16
    assert counter.calls == 1


def test_a_fresh_result_is_given_again_without_a_query() -> None:
    assert probe()[0] == 200
    with CaptureQueriesContext(connection) as queries:
        assert probe()[0] == 200
    assert len(queries) == 0


def test_an_old_result_is_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter()
    monkeypatch.setattr(health, "CHECKS", {"database": counter})
    probe()
    monkeypatch.setattr(health, "FRESH_SECONDS", 0.0)
    probe()

    assert counter.calls == 2


def test_a_check_that_hangs_holds_one_thread_and_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(health, "CHECKS", {"database": lambda: True})
    assert probe() == (200, {"database": "ok"})
    stuck = Stuck()
    monkeypatch.setattr(health, "CHECKS", {"database": stuck})
    first = Thread(target=probe)
    first.start()
    try:
        assert stuck.entered.wait(5)
        assert probe() == (200, {"database": "ok"})
        monkeypatch.setattr(health, "LONGEST_CHECK_SECONDS", 0.0)
        wait_until(lambda: probe() == (503, {"database": "unavailable"}), seconds=5)
    finally:
        stuck.released.set()
        first.join()


def test_migrations_are_read_from_disk_once(monkeypatch: pytest.MonkeyPatch) -> None:
    probe()
    health.readiness.forget()

    def read_again(_loader: MigrationLoader) -> None:
        pytest.fail("the migrations are read from disk again")

    monkeypatch.setattr(MigrationLoader, "load_disk", read_again)
    assert probe()[0] == 200


def test_a_migration_that_is_missing_is_seen_after_the_first_probe() -> None:
    assert probe()[1]["migrations"] == "ok"
    MigrationRecorder(connection).record_unapplied("tenants", "0001_initial")
    health.readiness.forget()

    assert probe() == (503, {"database": "ok", "counters": "ok", "broker": "ok", "migrations": "behind"})
