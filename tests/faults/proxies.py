"""A TCP proxy before the broker, which can refuse, or fall silent with everything that is connected."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread

CHUNK_BYTES = 65536


class Proxy:
    """Forwards connections on a port of its own to another port on loopback."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._talks = Event()
        self._talks.set()
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]

    def refuse(self) -> None:
        """Close the port, and every connection through it."""
        self._shut(self._listener)
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def fall_silent(self) -> None:
        """Forward nothing any more, on old connections and on new ones, which are accepted all the same."""
        self._talks.clear()

    def serve_again(self) -> None:
        self._talks.set()
        self._listener = self._listen(self.port)

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        try:
            yield self
        finally:
            self.refuse()
            self._talks.set()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port), backlog=128)
        Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        self._talks.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self._target_port))
        except OSError:
            client.close()
            return
        with self._lock:
            self._open |= {client, server}
        Thread(target=self._forward, args=(server, client), daemon=True).start()
        self._forward(client, server)

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                self._talks.wait()
                sink.sendall(chunk)
        with self._lock:
            self._open -= {source, sink}
        for end in (source, sink):
            self._shut(end)

    @staticmethod
    def _shut(end: socket.socket) -> None:
        with suppress(OSError):  # the other direction was faster
            end.shutdown(socket.SHUT_RDWR)
        end.close()
