"""Several programs as one: lines with names in front, one end is the end of all."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from stoa_cp.devserver.processes import Program
from stoa_cp.devserver.supervisor import STOP_SIGNALS, ProgramEnded, StopRequested, Supervisor
from tests.waiting import wait_until

WAITING = "import signal, sys; print('up', flush=True); signal.pause()"


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """Give pytest its own handlers back."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def python(name: str, code: str, ready_text: str = "") -> Program:
    return Program(name, [sys.executable, "-c", code], ready_text=ready_text)


def is_running(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_line_says_who_wrote_it() -> None:
    lines: list[str] = []
    with Supervisor(lines.append) as supervisor:
        supervisor.run(python("first", "print('one'); print('two')"))
    assert lines == ["   first | one", "   first | two"]


def test_the_end_of_one_program_is_the_end_of_all() -> None:
    lines: list[str] = []
    with Supervisor(lines.append) as supervisor:
        supervisor.start(python("long", f"import os; print(os.getpid(), flush=True); {WAITING}", ready_text="up"))
        supervisor.wait_until_ready(lambda: True, seconds=10)
        supervisor.start(python("short", "raise SystemExit(3)"))
        with pytest.raises(ProgramEnded, match=r"short ended \(status 3\)"):
            supervisor.run_until_stopped()
    assert not is_running(int(lines[0].removeprefix("    long | ")))


def test_a_program_that_fails_to_prepare_stops_the_start() -> None:
    with Supervisor(print) as supervisor, pytest.raises(ProgramEnded, match=r"prepare failed \(status 1\)"):
        supervisor.run(python("prepare", "raise SystemExit(1)"))


def test_ready_is_what_every_program_says() -> None:
    with Supervisor(print) as supervisor:
        supervisor.start(python("worker", WAITING, ready_text="up"))
        supervisor.wait_until_ready(lambda: True, seconds=10)


def test_a_program_that_never_gets_ready_is_given_up() -> None:
    with Supervisor(print) as supervisor:
        supervisor.start(python("worker", WAITING, ready_text="never said"))
        with pytest.raises(ProgramEnded, match="Not everything was ready"):
            supervisor.wait_until_ready(lambda: True, seconds=0.1)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_stops_everything(number: signal.Signals) -> None:
    with Supervisor(print) as supervisor:
        supervisor.start(python("worker", WAITING))
        os.kill(os.getpid(), number)
        with pytest.raises(StopRequested):
            supervisor.run_until_stopped()


def test_the_last_to_start_is_the_first_to_end() -> None:
    lines: list[str] = []
    goodbye = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('ended', time.monotonic_ns(), flush=True)))"
    with Supervisor(lines.append) as supervisor:
        for name in ("database", "web"):
            supervisor.start(python(name, f"import signal, sys, time; {goodbye}; {WAITING}", ready_text="up"))
        supervisor.wait_until_ready(lambda: True, seconds=10)
    # The threads that read the programs' output may be behind.
    wait_until(lambda: sum("ended" in line for line in lines) == 2, "both programs say that they end")
    ended_at = {line.split()[0]: int(line.split()[-1]) for line in lines if "ended" in line}
    assert ended_at["web"] < ended_at["database"]


def test_a_program_that_ignores_the_signal_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stoa_cp.devserver.supervisor.GRACE_SECONDS", 0.1)
    with Supervisor(print) as supervisor:
        deaf = python(
            "deaf", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAITING, ready_text="up"
        )
        supervisor.start(deaf)
        supervisor.wait_until_ready(lambda: True, seconds=10)
