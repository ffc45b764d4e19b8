"""manage.py ship_access_log: each line of a log is counted once, whatever happens to the log and to the command."""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from catalog.services.gateways import create_gateway
from metrics.access_logs import tail
from stoa_cp.domain.actors import SYSTEM
from tests.factories import SubscriptionFactory
from tests.gateways.logs import Ledger, caddy_line, ledger, nginx_line
from tests.metrics.traffic import counted
from tests.waiting import wait_until

Ship = Callable[..., str]


@pytest.fixture
def control_plane() -> Iterator[Ledger]:
    with ledger() as kept:
        yield kept


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "access.json"


@pytest.fixture
def ship(control_plane: Ledger, log: Path) -> Ship:
    def run(**options: Any) -> str:
        out = StringIO()
        given = {"gateway": "edge-1", "token": "stoa_gtw_x", "url": control_plane.url, "once": True} | options
        call_command("ship_access_log", log, stdout=out, stderr=out, **given)
        return out.getvalue()

    return run


_numbers = count(1)


def write(path: Path, lines: int = 1, **fields: Any) -> None:
    """Append lines; each is known by its ``bytes``."""
    with path.open("ab") as file:
        for _line in range(lines):
            file.write(nginx_line(bytes=next(_numbers), **fields))


def write_until(log: Path, is_so: Callable[[], bool]) -> int:
    """Let the log grow until ``is_so`` holds. Return how many lines were written."""
    written = 0

    def grow() -> bool:
        nonlocal written
        write(log, 25)
        written += 25
        return is_so()

    wait_until(grow, "a batch arrives")
    return written


def test_what_is_new_is_reported_once(control_plane: Ledger, log: Path, ship: Ship) -> None:
    write(log, 3)
    assert "accepted 3" in ship()
    assert ship() == ""
    write(log, 2)
    ship()
    assert sorted(control_plane.lines.values()) == [1] * 5


def test_a_line_is_a_record(control_plane: Ledger, log: Path, ship: Ship) -> None:
    log.write_bytes(nginx_line(timestamp="2026-01-09T10:30:00+01:00", bytes=7))
    ship()
    ((record,),) = control_plane.batches.values()
    assert record == {
        "timestamp": "2026-01-09T10:30:00+01:00",
        "api_id": "api-0123456789abcdef",
        "subscription_id": "sub-0123456789abcdef",
        "status": 200,
        "latency_ms": 87.0,
        "bytes": 7,
    }


def test_caddys_line_is_the_same_record(control_plane: Ledger, log: Path, ship: Ship) -> None:
    log.write_bytes(caddy_line(ts=1767951000.123456, size=7) + caddy_line(resp_headers={}, status=404))
    ship()
    ((record,),) = control_plane.batches.values()
    assert record == {
        "timestamp": "2026-01-09T09:30:00.123+00:00",
        "api_id": "api-0123456789abcdef",
        "subscription_id": "sub-0123456789abcdef",
        "status": 200,
        "latency_ms": 87.1,
        "bytes": 7,
    }


def test_a_test_call_is_reported_as_one(control_plane: Ledger, log: Path, ship: Ship) -> None:
    headers = {"X-Stoa-Api": ["api-0123456789abcdef"], "X-Stoa-Mode": ["test"]}
    log.write_bytes(nginx_line() + nginx_line(mode="test") + caddy_line() + caddy_line(resp_headers=headers))
    ship()
    records = [record for records in control_plane.batches.values() for record in records]
    assert [record.get("mode") for record in records] == [None, "test", None, "test"]


def test_a_client_that_left_has_a_status(control_plane: Ledger, log: Path, ship: Ship) -> None:
    log.write_bytes(nginx_line(status="000") + caddy_line(status=0))
    ship()
    assert [record["status"] for records in control_plane.batches.values() for record in records] == [499, 499]


@pytest.mark.parametrize(
    "line",
    [
        nginx_line(reason="rate_limited"),
        nginx_line(api_id=""),
        nginx_line(latency_s="-"),
        nginx_line(status="-"),
        b'127.0.0.1 - - "GET / HTTP/1.1" 200\n',
        b"[]\n",
        b"\n",
        b"\xff\xfe{\n",
        b'{"resp_headers": 7}\n',
        b'{"api_id": "a", "reason": "", "mode": ""}\n',
        b"[" * 100_000 + b"\n",
    ],
    ids=lambda line: line[:12].decode(errors="replace"),
)
def test_other_lines_count_nowhere_and_stop_nothing(control_plane: Ledger, log: Path, ship: Ship, line: bytes) -> None:
    log.write_bytes(line)
    write(log)
    ship()
    assert sum(control_plane.lines.values()) == 1


def test_a_line_is_read_when_it_is_whole(control_plane: Ledger, log: Path, ship: Ship) -> None:
    line = nginx_line()
    log.write_bytes(line + line[:100])
    ship()
    with log.open("ab") as file:
        file.write(line[100:])
    ship()
    assert sum(control_plane.lines.values()) == 2


def test_a_log_longer_than_a_chunk_goes_in_several(
    control_plane: Ledger, log: Path, ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "CHUNK_BYTES", 1_000)
    write(log, 20)
    ship()
    assert len(control_plane.batches) > 5
    assert sorted(control_plane.lines.values()) == [1] * 20


def test_a_renamed_log_is_read_to_its_end_before_the_new_one(control_plane: Ledger, log: Path, ship: Ship) -> None:
    write(log, 2)
    ship()
    write(log, 3)
    rotated = log.rename(log.with_name("access.json.1"))
    write(log, 4)
    ship()
    write(rotated, 5)  # nginx writes there until it is told to open its log again
    ship()
    assert sorted(control_plane.lines.values()) == [1] * 14


def test_several_rotations_while_no_process_ran(control_plane: Ledger, log: Path, ship: Ship) -> None:
    write(log)
    ship()
    for name in ("access.json.2", "access.json-20260109", "access-2026-01-09T10-30-00.000.json"):
        write(log, 2)
        log.rename(log.with_name(name))
    write(log, 2)
    ship()
    assert sorted(control_plane.lines.values()) == [1] * 9


def test_a_copied_and_truncated_log_is_neither_lost_nor_doubled(control_plane: Ledger, log: Path, ship: Ship) -> None:
    write(log, 3)
    ship()
    write(log, 3)
    shutil.copy(log, log.with_name("access.json.1"))
    ship()  # in between
    os.truncate(log, 0)
    write(log, 9)
    ship()
    assert sorted(control_plane.lines.values()) == [1] * 15


def test_what_was_rotated_before_the_first_start_is_left_alone(control_plane: Ledger, log: Path, ship: Ship) -> None:
    write(log.with_name("access.json.1"), 5)
    write(log.with_name("access.json.2.gz"), 5)
    write(log.with_name("access.jsonl"), 5)
    write(log, 2)
    ship()
    assert sum(control_plane.lines.values()) == 2


def test_the_same_chunk_is_sent_again_when_the_answer_was_lost(control_plane: Ledger, log: Path, ship: Ship) -> None:
    write(log, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail.LogTailer, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ship()
    write(log, 2)  # the log goes on meanwhile
    assert "sent before" in ship()
    assert sorted(control_plane.lines.values()) == [1] * 5


def test_what_the_control_plane_could_not_take_is_sent_later(control_plane: Ledger, log: Path, ship: Ship) -> None:
    write(log, 2)
    control_plane.statuses = iter([503])
    with pytest.raises(CommandError, match="answered 503"):
        ship()
    assert not control_plane.lines
    with pytest.raises(CommandError, match="is away"):
        ship(url="http://127.0.0.1:9")
    ship()
    assert sorted(control_plane.lines.values()) == [1, 1]


def test_a_refused_token_ends_it(control_plane: Ledger, log: Path, ship: Ship) -> None:
    write(log)
    control_plane.statuses = iter([401])
    with pytest.raises(CommandError, match="refuses the batch: 401"):
        ship()
    with pytest.raises(CommandError, match="token is missing"):
        ship(token="")


def test_a_second_process_does_not_follow_the_same_log(log: Path, ship: Ship) -> None:
    with log.with_name("access.json.edge-1.place.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CommandError, match="Another process"):
            ship()


@pytest.mark.parametrize("option", ["state_file", "place"])
def test_both_names_of_the_option_choose_the_state_file(
    control_plane: Ledger, log: Path, ship: Ship, tmp_path: Path, option: str
) -> None:
    state = tmp_path / "state" / "edge-1.json"
    state.parent.mkdir()
    write(log, 2)
    ship(**{option: state})
    assert state.exists()
    assert ship(**{option: state}) == ""
    assert sorted(control_plane.lines.values()) == [1, 1]


def test_killed_again_and_again_while_the_log_grows_and_rotates(control_plane: Ledger, log: Path, ship: Ship) -> None:
    """Kill -9 between the count and its answer, under rename and copytruncate: every line is counted exactly once."""
    control_plane.pause_seconds = 0.2
    command = [
        sys.executable,
        "manage.py",
        "ship_access_log",
        str(log),
        "--gateway",
        "edge-1",
        "--url",
        control_plane.url,
    ]
    environment = os.environ | {"STOA_GATEWAY_TOKEN": "stoa_gtw_x"}
    write(log)
    ship()
    written = 1
    for life in range(6):
        batches = len(control_plane.batches)
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        written += write_until(log, lambda batches=batches: len(control_plane.batches) > batches)
        time.sleep(life * 0.05)  # some are killed before the answer, some after it
        process.kill()
        process.wait()
        if life % 3 == 1:
            log.rename(log.with_name(f"access.json.{life}"))
        elif life % 3 == 2:
            shutil.copy(log, log.with_name(f"access.json.{life}"))
            os.truncate(log, 0)
    output = ship()
    assert sum(control_plane.lines.values()) == written, output
    assert set(control_plane.lines.values()) == {1}


@pytest.mark.django_db(transaction=True)
def test_the_real_endpoint_counts_it(live_server: Any, log: Path, tmp_path: Path) -> None:
    mobile = SubscriptionFactory(active=True)
    token = create_gateway("edge-1", by=SYSTEM).secret
    write(log, 3, api_id=mobile.api_id, subscription_id=mobile.id)
    write(log, 1, api_id="api-0000000000000000")
    out = StringIO()
    options = {"gateway": "edge-1", "token": token, "url": live_server.url, "once": True}
    call_command("ship_access_log", log, stdout=out, stderr=out, **options)
    assert "accepted 3" in out.getvalue()
    assert "refused unknown_api" in out.getvalue()
    assert counted() == 3
