"""Runs several programs as one: their output side by side, and all of them ended when one ends."""

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

TICK_SECONDS = 0.05  # how soon a signal, a death or readiness is noticed
GRACE_SECONDS = 10.0
CHUNK_BYTES = 64 * 1024
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ProgramEnded(Exception):
    """A program ended that should have gone on, or did not get ready; the message names it."""


class StopRequested(Exception):
    """Ctrl-C, SIGTERM, or the terminal was closed."""


@dataclass(slots=True)
class Child:
    """A running program, whether it has said that it works, and the line that it has not finished yet."""

    program: Program
    process: subprocess.Popen[bytes]
    is_ready: bool
    partial: bytes = b""


class Supervisor:
    """A context in which programs run; leaving it ends them, the last one first."""

    def __init__(self, write_line: Callable[[str], object]) -> None:
        self._write_line = write_line
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._stop_requested = False

    def __enter__(self) -> Self:
        for number in STOP_SIGNALS:
            signal.signal(number, self._request_stop)
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
        """Start ``program``; its lines are written with its name in front."""
        self._watch(program, spawn(program, subprocess.PIPE))

    def adopt(self, name: str, process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
        """Watch and end a process that was started before, and that logs elsewhere."""
        self._watch(Program(name, (), stop_signal=stop_signal), process)

    def run(self, program: Program) -> None:
        """Run ``program`` to its end beside the others. Raises ProgramEnded if it fails."""
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
        """Let the programs run until each has said that it works, and ``condition`` holds.

        Raises ProgramEnded if that does not happen in time.
        """
        deadline = time.monotonic() + seconds
        while not (all(child.is_ready for child in self._children) and condition()):
            self._tick()
            if time.monotonic() > deadline:
                raise ProgramEnded(f"Not everything was ready after {seconds:.0f} s.")

    def run_until_stopped(self) -> None:
        """Let the programs run. Raises ProgramEnded when one ends, StopRequested when we are told to stop."""
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
        """Write the lines that the programs have printed; False if they have been silent."""
        ready = self._selector.select(wait_seconds)
        for key, _events in ready:
            child: Child = key.data
            chunk = os.read(key.fd, CHUNK_BYTES)
            if not chunk:
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
        self._stop_requested = True
