"""Runs several programs together: their output in one stream, and all of them ended when one ends."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Self

from stoa_cp.devserver.processes import Program, end, spawn

TICK_SECONDS = 0.05  # after this time at the latest, a signal, an ended program or readiness is noticed
# Between the stop signal and SIGKILL, for each program. The web server needs up to 5 s to end a request that hangs.
GRACE_SECONDS = 10.0
CHUNK_BYTES = 64 * 1024  # the capacity of a pipe on Linux
# SIGHUP: the terminal was closed.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ProgramEnded(Exception):
    """A program ended too early or failed, or was not ready in time. The message names it."""


class StopRequested(Exception):
    """Ctrl-C, SIGTERM, or the terminal was closed."""


@dataclass(slots=True)
class Child:
    """A running program, whether it is ready, and the start of a line that it has not finished yet."""

    program: Program
    process: subprocess.Popen[bytes]
    is_ready: bool
    partial: bytes = b""


class Supervisor:
    """A context manager that runs programs, and ends them on exit, the last one first.

    The order matters: the web server and the worker must not outlive the database, which is started first.
    """

    def __init__(self, write_line: Callable[[str], object]) -> None:
        self._write_line = write_line
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._stop_requested = False

    def __enter__(self) -> Self:
        for number in STOP_SIGNALS:
            signal.signal(number, self._request_stop)  # not restored: the process ends with its supervisor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self._children):
            end(child.process, child.program.stop_signal, grace_seconds=GRACE_SECONDS)
        self._drain()
        for child in self._children:
            self._forget_output(child)
        self._selector.close()

    def start(self, program: Program) -> None:
        """Start ``program``. Each line of its output is written with its name in front."""
        self._watch(program, spawn(program, subprocess.PIPE))

    def adopt(self, name: str, process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
        """Watch, and end on exit, a process that was started elsewhere and has a log of its own."""
        self._watch(Program(name, (), stop_signal=stop_signal), process)

    def run(self, program: Program) -> None:
        """Run ``program`` to its end while the others go on. Raises ProgramEnded if it, or one of the others, fails."""
        self.start(program)
        child = self._children[-1]
        while child.process.poll() is None:
            self._tick(may_end=child)
        self._drain()
        self._children.remove(child)
        self._forget_output(child)
        if child.process.returncode != 0:
            raise ProgramEnded(f"{program.name} failed (status {child.process.returncode}).")

    def wait_until_ready(self, condition: Callable[[], bool], *, seconds: float) -> None:
        """Wait until every program has printed its ``ready_text`` and ``condition`` is true.

        Raises ProgramEnded after ``seconds``, or if a program ends before.
        """
        deadline = time.monotonic() + seconds
        while not (all(child.is_ready for child in self._children) and condition()):
            self._tick()
            if time.monotonic() > deadline:
                raise ProgramEnded(f"Not everything was ready after {seconds:.0f} s.")

    def run_until_stopped(self) -> None:
        """Run until a program ends (raises ProgramEnded) or a stop signal comes (raises StopRequested)."""
        while True:
            self._tick()

    def _watch(self, program: Program, process: subprocess.Popen[bytes]) -> None:
        child = Child(program, process, is_ready=not program.ready_text)
        self._children.append(child)
        if process.stdout:
            self._selector.register(process.stdout, selectors.EVENT_READ, child)

    def _tick(self, may_end: Child | None = None) -> None:
        self._copy_output(TICK_SECONDS)
        if self._stop_requested:
            raise StopRequested
        for child in self._children:
            if child is not may_end and child.process.poll() is not None:
                self._drain()
                raise ProgramEnded(f"{child.program.name} ended (status {child.process.returncode}).")

    def _drain(self) -> None:
        while self._copy_output(0):
            pass

    def _copy_output(self, wait_seconds: float) -> bool:
        """Write the lines that the programs have printed. Return False if there was no output."""
        ready = self._selector.select(wait_seconds)
        for key, _events in ready:
            child: Child = key.data
            chunk = os.read(key.fd, CHUNK_BYTES)
            if not chunk:  # the program has closed its end
                self._forget_output(child)
            *lines, child.partial = (child.partial + chunk).split(b"\n")
            for line in lines:
                text = line.decode(errors="replace")
                child.is_ready = child.is_ready or child.program.ready_text in text
                self._write_line(f"{child.program.name:>8} | {text}")
        return bool(ready)

    def _forget_output(self, child: Child) -> None:
        pipe = child.process.stdout
        if pipe and not pipe.closed:
            self._selector.unregister(pipe)
            pipe.close()

    def _request_stop(self, _number: int, _frame: FrameType | None) -> None:
        # A flag and not an exception: one that is raised in the middle of __exit__ would leave programs running.
        self._stop_requested = True
