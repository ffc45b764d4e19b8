"""Total deadlines for sockets: when the time is up, the socket is shut, whatever its reader waits for.

A socket's own time-out starts anew with every byte, so a receiver that drips one every second is never late.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Condition, Thread
from time import monotonic
from typing import Self

TICK_SECONDS = 0.1  # how late a deadline may be noticed


class Deadline:
    """The deadline of one exchange, and the socket to shut when it has passed."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = monotonic() + seconds
        self._handle: socket.socket | None = None
        self.is_expired = False

    @property
    def remaining_seconds(self) -> float:
        return max(0.0, self._ends_at - monotonic())

    def hold(self, handle: socket.socket) -> None:
        """Watch over a socket, at once if the deadline has passed already."""
        self._handle = handle
        if self.is_expired:
            self._shut()

    def let_go(self) -> bool:
        """Stop watching and tell whether the deadline was met; if so, the socket will not be shut."""
        self._handle = None
        return not self.is_expired

    def expire_if_due(self) -> None:
        if not self.is_expired and self._ends_at <= monotonic():
            self.is_expired = True
            self._shut()

    def _shut(self) -> None:
        handle = self._handle
        if handle is not None:
            with suppress(OSError):  # the receiver hung up first
                handle.shutdown(socket.SHUT_RDWR)


class Watchdog:
    """One thread that looks after many guards. Use it as a context manager: leaving ends the thread."""

    def __init__(self) -> None:
        self._guards: set[Deadline] = set()
        self._changed = Condition()
        self._is_closed = False
        self._thread = Thread(target=self._run, name="webhook watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    @contextmanager
    def guard(self, seconds: float) -> Iterator[Deadline]:
        """Yield a guard that expires in ``seconds``."""
        guard = Deadline(seconds)
        with self._changed:
            if not self._guards:
                self._changed.notify()
            self._guards.add(guard)
        try:
            yield guard
        finally:
            with self._changed:
                self._guards.remove(guard)

    def _run(self) -> None:
        with self._changed:
            while not self._is_closed:
                for guard in self._guards:
                    guard.expire_if_due()
                self._changed.wait(TICK_SECONDS if self._guards else None)
