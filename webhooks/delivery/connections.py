"""Opens connections to vetted addresses, and keeps idle ones for the next delivery to the same receiver."""

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

# For each address of a host. A third of the total deadline, so that a dead address leaves time for the next one.
CONNECT_SECONDS = 5.0
# A request that is sent while the receiver closes the connection is lost. Node.js closes idle connections after 5 s,
# sooner than other common servers. So a connection is reused only during a burst.
IDLE_SECONDS = 1.0
# Bounds the open files: a connection has two descriptors, its socket and the watchdog's copy.
MAX_IDLE = 64


class TlsFailed(OSError):
    """The receiver did not prove to be the host that the URL names."""


@dataclass(slots=True)
class PooledConnection:
    """An open connection to one address of a target.

    ``watched`` is a copy (dup) of the socket, for the watchdog: TLS takes over the descriptor of the socket that it
    wraps, and this copy stays valid until ``close``, so that the watchdog can never shut a descriptor that was
    reused for something else.
    """

    target: Target
    address: str
    http: HTTPConnection
    watched: socket.socket
    idle_since: float = field(default_factory=monotonic)

    def close(self) -> None:
        self.http.close()
        self.watched.close()

    def matches(self, target: Target, addresses: Sequence[str]) -> bool:
        """Return True if a request to ``target`` may use this connection.

        The address must be among those just vetted: a host may have moved since the connection was opened.
        """
        return self._origin(self.target) == self._origin(target) and self.address in addresses

    def is_fresh(self) -> bool:
        """Return True if the receiver has neither closed the connection nor sent data that we did not ask for."""
        return monotonic() - self.idle_since < IDLE_SECONDS and self.http.is_connected

    @staticmethod
    def _origin(target: Target) -> tuple[str, str, int]:
        return target.scheme, target.host, target.port


class ConnectionPool:
    """Lends connections to many threads, and keeps those that are returned in a clean state."""

    def __init__(self) -> None:
        self._idle: deque[PooledConnection] = deque()
        self._lock = Lock()

    def acquire(self, target: Target, addresses: Sequence[str], deadline: Deadline) -> PooledConnection:
        """Return a connection to one of ``addresses``, idle or new, that ``deadline`` watches.

        Raises OSError if no address accepts a connection, TlsFailed.
        """
        idle = self._take_idle(target, addresses)
        if idle is not None:
            idle.target = target  # the same origin, but the path may belong to another webhook
            deadline.watch(idle.watched)
            return idle
        address, plain = _connect(addresses, target.port, deadline)
        watched = plain.dup()
        deadline.watch(watched)  # before the TLS handshake, which a receiver can delay as well
        try:
            http = HTTPConnection(target.host, target.port)
            http.sock = self._wrap_in_tls(plain, target.host) if target.scheme == "https" else plain
        except OSError:
            plain.close()
            watched.close()
            raise
        return PooledConnection(target, address, http, watched)

    def release(self, connection: PooledConnection) -> None:
        """Keep a connection whose response was read to its end."""
        connection.idle_since = monotonic()
        with self._lock:
            self._idle.append(connection)
            surplus = self._idle.popleft() if len(self._idle) > MAX_IDLE else None
        if surplus is not None:
            surplus.close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _take_idle(self, target: Target, addresses: Sequence[str]) -> PooledConnection | None:
        with self._lock:
            connection = next((idle for idle in self._idle if idle.matches(target, addresses)), None)
            if connection is not None:
                self._idle.remove(connection)
        if connection is not None and not connection.is_fresh():
            connection.close()
            connection = None
        return connection

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def _wrap_in_tls(self, plain: socket.socket, host: str) -> ssl.SSLSocket:
        # The certificate and SNI are for the name in the URL, although we connect to an address.
        try:
            return self._tls.wrap_socket(plain, server_hostname=host)
        except (ssl.SSLError, ConnectionError) as error:
            raise TlsFailed(str(error)) from error


def _connect(addresses: Sequence[str], port: int, deadline: Deadline) -> tuple[str, socket.socket]:
    failure: OSError = TimeoutError()
    for address in addresses:
        try:
            sock = socket.create_connection((address, port), min(CONNECT_SECONDS, deadline.remaining_seconds))
        except OSError as error:
            failure = error
        else:
            # Headers and body are two packets. Nagle's algorithm would delay the second by 40 ms.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(deadline.remaining_seconds)
            return address, sock
    raise failure
