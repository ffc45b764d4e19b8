"""A database that has no session, no time or no space left: D7 to D9."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from time import monotonic, sleep

import psycopg
from django.db import connection

from catalog.models import Api
from tests.faults.load import Call, Load, writing
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.rows.broker import are_heard, count_lost
from tests.faults.rows.database import TERMINATE, await_first_delivery, described, first_success, is_our_503
from tests.faults.world import World
from tests.waiting import comes_true
from tests.webhooks.receivers import Receiver

CALLERS = 4
FAULT_SECONDS = 6.0
BACK_SECONDS = 3.0
PATIENCE_SECONDS = 60
STATEMENT_SECONDS = 10.0  # the service's statement time-out
SPACE_MB = 48

SLOW = """
CREATE TABLE IF NOT EXISTS fault_switch AS SELECT true AS is_slow;
CREATE OR REPLACE FUNCTION fault_sleep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF (SELECT is_slow FROM fault_switch) THEN PERFORM pg_sleep(60); END IF; RETURN NEW; END $$;
CREATE TRIGGER fault_sleep BEFORE INSERT ON catalog_api FOR EACH ROW EXECUTE FUNCTION fault_sleep();
"""
FAST = "DROP TRIGGER fault_sleep ON catalog_api; DROP FUNCTION fault_sleep; DROP TABLE fault_switch"
INDEXES = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = %s::regclass"
MOVED = ("catalog_api", "stoa_cp_event")


@injects(
    Fault(
        "D7",
        "max_connections reached",
        f"all sessions taken, the service's terminated, for {FAULT_SECONDS:.0f} s under {CALLERS} writers",
        f"only 503 in our format; first success ≤ {BACK_SECONDS:.0f} s after they are free; rows and events lost 0",
    )
)
def take_all_sessions(world: World) -> Measured:
    with _working(world) as (load, receiver):
        sleep(1.0)
        with ExitStack() as taken:
            session = taken.enter_context(psycopg.connect(world.server.url, autocommit=True))
            refused = _take_until_refused(world, taken)
            ends_at = monotonic() + FAULT_SECONDS
            while monotonic() < ends_at:
                session.execute(TERMINATE_SERVICE)
                refused += _take_until_refused(world, taken)
        back_at = monotonic()
        sleep(BACK_SECONDS)
    return _judge(load, receiver, back_at, f"sessions refused {refused} times; ", has_failed=refused > 0)


# The sessions of the service alone have such names; those of this row would be taken again one by one.
TERMINATE_SERVICE = f"{TERMINATE} AND application_name LIKE 'stoa-w%'"


def _take_until_refused(world: World, taken: ExitStack) -> int:
    while True:
        try:
            taken.enter_context(psycopg.connect(world.server.url, connect_timeout=5))
        except psycopg.OperationalError:
            return 1


@injects(
    Fault(
        "D8",
        "statement time-out",
        f"a trigger that sleeps for 60 s in each INSERT of an API, for {FAULT_SECONDS:.0f} s under {CALLERS} writers",
        f"each such call our 503 after ≤ {STATEMENT_SECONDS + 2:.0f} s; 201 again as soon as it is over; lost 0",
    )
)
def sleep_in_statements(world: World) -> Measured:
    with psycopg.connect(world.server.url, autocommit=True) as session, _working(world) as (load, receiver):
        sleep(1.0)
        session.execute(SLOW)
        began_at = monotonic()
        sleep(FAULT_SECONDS)
        session.execute("UPDATE fault_switch SET is_slow = false")
        back_at = monotonic()
        sleep(STATEMENT_SECONDS + BACK_SECONDS)
    with psycopg.connect(world.server.url, autocommit=True) as session:
        session.execute(FAST)
    slow = [call for call in load.calls if call.ended_at >= began_at and call.status != HTTPStatus.CREATED]
    longest = max((call.seconds for call in slow), default=0.0)
    ended = f"{len(slow)} calls given up, the longest after {longest:.1f} s; "
    # Of the calls in flight each is given up by its own time-out.
    over_at = back_at + STATEMENT_SECONDS
    return _judge(load, receiver, over_at, ended, has_failed=0 < longest <= STATEMENT_SECONDS + 2)


@injects(
    Fault(
        "D9",
        "disk full",
        f"APIs and events on a tmpfs of {SPACE_MB} MB, filled for {FAULT_SECONDS:.0f} s under {CALLERS} writers",
        f"only 503 in our format; first success ≤ {BACK_SECONDS:.0f} s after there is space; rows and events lost 0",
    )
)
def fill_the_disk(world: World) -> Measured:
    if os.geteuid() != 0:
        return Measured("needs root for a small file system", held=None)
    with _small_disk(world) as disk, _working(world) as (load, receiver):
        sleep(1.0)
        filler = disk / "filler"
        with filler.open("wb") as file:
            _fill(file.fileno())
        sleep(FAULT_SECONDS)
        filler.unlink()
        back_at = monotonic()
        sleep(BACK_SECONDS)
    failed = [call for call in load.calls if call.status != HTTPStatus.CREATED]
    return _judge(load, receiver, back_at, "", has_failed=bool(failed))


def _fill(descriptor: int) -> None:
    """Write until there is no space left, down to the last block."""
    for size in (1024 * 1024, 4096):
        while True:
            try:
                os.write(descriptor, bytes(size))
            except OSError:
                break


@contextmanager
def _small_disk(world: World) -> Iterator[Path]:
    """Keep APIs and events on a file system of their own for the length of the block."""
    disk = world.server.cluster.placement.folder / "small-disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SPACE_MB}m,mode=711", "none", str(disk)], check=True)
    try:
        space = disk / "space"
        space.mkdir(mode=0o700)
        world.server.cluster.placement.own(space)
        with psycopg.connect(world.server.url, autocommit=True) as session:
            session.execute(f"CREATE TABLESPACE small LOCATION '{space}'".encode())
            _move(session, "small")
            yield disk
            _move(session, "pg_default")
            session.execute("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
        disk.rmdir()


def _move(session: psycopg.Connection[tuple[object, ...]], to: str) -> None:
    for table in MOVED:
        session.execute(f"ALTER TABLE {table} SET TABLESPACE {to}".encode())
        for (name,) in session.execute(INDEXES, [table]).fetchall():
            session.execute(f"ALTER INDEX {name} SET TABLESPACE {to}".encode())


@contextmanager
def _working(world: World) -> Iterator[tuple[Load, Receiver]]:
    """Run web, worker, beat and a receiver under writers."""
    tenant = world.tenant()
    with Receiver().running() as receiver, world.web() as port, world.celery():
        world.webhooks(tenant, receiver.url)
        await_first_delivery(world, port, tenant.id, receiver)
        with writing(port, world.token, tenant.id, callers=CALLERS) as load:
            yield load, receiver
        connection.close()
        comes_true(lambda: are_heard(load.created(), receiver), seconds=PATIENCE_SECONDS)


def _judge(load: Load, receiver: Receiver, back_at: float, note: str, *, has_failed: bool) -> Measured:
    created = load.created()
    unexpected: list[Call] = [call for call in load.calls if call.status != HTTPStatus.CREATED and not is_our_503(call)]
    delay = first_success(load, back_at)
    lost = len(created) - Api.objects.filter(pk__in=created).count()
    unheard = count_lost(created, receiver)
    return Measured(
        f"{note}statuses {load.statuses()}, others than our 503: {described(unexpected)}; first success after "
        f"{delay:.1f} s; of {len(created)} rows lost {lost}, events lost {unheard}",
        held=has_failed and not unexpected and delay <= BACK_SECONDS and lost + unheard == 0,
    )
