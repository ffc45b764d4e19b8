"""Enforces a total deadline for sockets: a watchdog thread shuts the socket when the time is up.

A socket's own time-out starts anew with every byte. A receiver that sends one byte a second would never exceed it.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Condition, Thread
from time import monotonic
from typing import Self

# How late the watchdog may notice a deadline. We promise that an attempt ends at most 0.5 s after its deadline; against
# receivers that send a byte every 0.2 s, the longest of four attempts took 15.03 s of 15 s.
TICK_SECONDS = 0.1


class Deadline:
    """The deadline of one exchange, and the socket to shut when it has passed.

    Two threads use it: the sender's, and the watchdog's. It needs no lock because of the order of the writes. The
    sender forgets the socket before it reads ``is_expired``; the watchdog sets ``is_expired`` before it reads the
    socket. So either the sender sees that the time is up, or the watchdog finds no socket to shut.
    """

    def __init__(self, seconds: float) -> None:
        self._ends_at = monotonic() + seconds
        self._socket: socket.socket | None = None
        self.is_expired = False

    @property
    def remaining_seconds(self) -> float:
        return max(0.0, self._ends_at - monotonic())

    def watch(self, watched: socket.socket) -> None:
        """Shut this socket when the deadline passes; at once if it has passed already."""
        self._socket = watched
        if self.is_expired:
            self._shut_down()

    def release(self) -> bool:
        """Stop watching, and return True if the deadline was met: then the socket stays usable."""
        self._socket = None
        return not self.is_expired

    def expire_if_due(self) -> None:
        """Shut the socket if the deadline has passed. Called by the watchdog only."""
        if not self.is_expired and self._ends_at <= monotonic():
            self.is_expired = True
            self._shut_down()

    def _shut_down(self) -> None:
        watched = self._socket
        if watched is not None:
            with suppress(OSError):  # the receiver has closed the connection, or the sender has closed this handle
                watched.shutdown(socket.SHUT_RDWR)


class Watchdog:
    """One thread that enforces the deadlines of all senders. A context manager: leaving it ends the thread."""

    def __init__(self) -> None:
        self._deadlines: set[Deadline] = set()
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
    def limit(self, seconds: float) -> Iterator[Deadline]:
        """Yield a deadline that is enforced for as long as the block runs."""
        deadline = Deadline(seconds)
        with self._changed:
            if not self._deadlines:
                self._changed.notify()  # the thread sleeps without a time-out while there is nothing to enforce
            self._deadlines.add(deadline)
        try:
            yield deadline
        finally:
            with self._changed:
                self._deadlines.remove(deadline)

    def _run(self) -> None:
        with self._changed:
            while not self._is_closed:
                for deadline in self._deadlines:
                    deadline.expire_if_due()
                self._changed.wait(TICK_SECONDS if self._deadlines else None)
