"""Local receivers of deliveries: well-behaved HTTP servers, and servers that misbehave as a script says."""

import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from time import monotonic, sleep
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    arrived_at: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What a receiver answers."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_seconds: float = 0.0


class Receiver:
    """An HTTP server that keeps what it receives. ``reply`` may be a function of the request."""

    def __init__(self, reply: Reply | Callable[[Received], Reply] = Reply(), tls: ssl.SSLContext | None = None) -> None:
        self.reply = reply
        self.received: list[Received] = []
        self.connections = 0
        self.most_at_once = 0
        self._at_once = 0
        self._lock = Lock()
        self._server = _Server(("127.0.0.1", 0), self, tls)
        self.port: int = self._server.server_address[1]
        self.scheme = "https" if tls else "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.received]

    def handle(self, request: Received) -> Reply:
        with self._lock:
            self.received.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        reply = self.reply(request) if callable(self.reply) else self.reply
        sleep(reply.delay_seconds)
        with self._lock:
            self._at_once -= 1
        return reply

    @contextmanager
    def running(self) -> Iterator["Receiver"]:
        thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], receiver: Receiver, tls: ssl.SSLContext | None) -> None:
        super().__init__(address, _Handler)
        self.receiver = receiver
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that hang up are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version: ClassVar[str] = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.receiver.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.receiver.handle(Received(self.path, headers, body, monotonic()))
        with suppress(OSError):  # the client's deadline was shorter than our delay
            self.send_response_only(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


Script = Callable[[socket.socket], None]


class RawReceiver:
    """Accepts connections and lets a script misbehave on each of them."""

    def __init__(self, script: Script, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self._script = script
        self.connections = 0
        self._listener = socket.create_server(address, backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/hook"

    @contextmanager
    def running(self) -> Iterator["RawReceiver"]:
        Thread(target=self._accept, daemon=True).start()
        try:
            yield self
        finally:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self._script(connection)


def read_request(connection: socket.socket) -> None:
    """Read a request with its body: closing with something unread would reset the connection."""
    received = connection.recv(65536)
    head, _blank, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    missing = int(length[1]) - len(body) if length else 0
    while missing > 0 and (more := connection.recv(missing)):
        missing -= len(more)


def silent(connection: socket.socket) -> None:
    """Read the request and never answer; return when the sender hangs up."""
    read_request(connection)
    connection.recv(1)


def answering(content: bytes) -> Script:
    """Return a script that reads the request and answers with these bytes."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(content)

    return script


def dripping(start: bytes, drop: bytes, every_seconds: float = 0.05) -> Script:
    """Return a script that answers with ``start``, and then with one ``drop`` after another, for ever."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(start)
        while True:
            connection.sendall(drop)
            sleep(every_seconds)

    return script
