"""Connections to vetted addresses, and a few of them kept open for the next delivery to the same receiver."""

import socket
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from time import monotonic

from urllib3.connection import HTTPConnection

from stoa_cp.net.targets import Target
from webhooks.delivery.deadlines import Deadline

CONNECT_SECONDS = 5.0  # for each of a host's addresses, so that a dead one leaves time for the next
# Node closes idle connections after 5 s, the most impatient of common servers. A request that crosses such
# a closing is lost, so a connection is reused only while a burst lasts.
IDLE_SECONDS = 1.0
MAX_IDLE = 64


class TlsFailed(OSError):
    """The receiver did not prove to be the host that the URL names."""


@dataclass(slots=True)
class PooledConnection:
    """An open connection: whom it leads to, and a second handle by which another thread can shut it."""

    target: Target
    address: str
    connection: HTTPConnection
    handle: socket.socket
    idle_since: float = field(default_factory=monotonic)

    def close(self) -> None:
        self.connection.close()
        self.handle.close()

    def matches(self, target: Target, addresses: Sequence[str]) -> bool:
        return self._origin(self.target) == self._origin(target) and self.address in addresses

    def is_fresh(self) -> bool:
        """Tell whether the receiver still holds its end, and has said nothing out of turn."""
        return monotonic() - self.idle_since < IDLE_SECONDS and self.connection.is_connected

    @staticmethod
    def _origin(target: Target) -> tuple[str, str, int]:
        return target.scheme, target.host, target.port


class Connections:
    """Opens wires, and keeps those that were given back. Safe for many threads."""

    def __init__(self) -> None:
        self._idle: deque[PooledConnection] = deque()
        self._lock = Lock()

    def open(self, target: Target, addresses: Sequence[str], guard: Deadline) -> PooledConnection:
        """Return a wire to one of ``addresses``, under ``guard``: a kept one, or a new one.

        Raises OSError if none answers, TlsFailed.
        """
        wire = self._take(target, addresses)
        if wire is not None:
            wire.target = target  # the same origin; the path may be another webhook's
            guard.hold(wire.handle)
            return wire
        address, plain = _dial(addresses, target.port, guard)
        handle = plain.dup()
        guard.hold(handle)
        try:
            connection = HTTPConnection(target.host, target.port)
            connection.sock = self._secure(plain, target.host) if target.scheme == "https" else plain
        except OSError:
            plain.close()
            handle.close()
            raise
        return PooledConnection(target, address, connection, handle)

    def keep(self, wire: PooledConnection) -> None:
        """Take back a wire whose answer was read to its end."""
        wire.idle_since = monotonic()
        with self._lock:
            self._idle.append(wire)
            surplus = self._idle.popleft() if len(self._idle) > MAX_IDLE else None
        if surplus is not None:
            surplus.close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _take(self, target: Target, addresses: Sequence[str]) -> PooledConnection | None:
        with self._lock:
            wire = next((kept for kept in self._idle if kept.matches(target, addresses)), None)
            if wire is not None:
                self._idle.remove(wire)
        if wire is not None and not wire.is_fresh():
            wire.close()
            wire = None
        return wire

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def _secure(self, plain: socket.socket, host: str) -> ssl.SSLSocket:
        try:
            return self._tls.wrap_socket(plain, server_hostname=host)
        except (ssl.SSLError, ConnectionError) as error:
            raise TlsFailed(str(error)) from error


def _dial(addresses: Sequence[str], port: int, guard: Deadline) -> tuple[str, socket.socket]:
    failure: OSError = TimeoutError()
    for address in addresses:
        try:
            sock = socket.create_connection((address, port), min(CONNECT_SECONDS, guard.remaining_seconds))
        except OSError as error:
            failure = error
        else:
            # Headers and body are two packets; Nagle would hold the second back for 40 ms.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(guard.remaining_seconds)
            return address, sock
    raise failure
