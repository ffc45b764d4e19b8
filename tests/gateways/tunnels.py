"""An upstream that switches to whatever protocol a request's Upgrade names, and a client that tries to."""

import base64
import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

from tests.gateways.proxies import ANSWER_SECONDS, Proxy

WEBSOCKET_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
# What a client that has its tunnel sends next: the first frame of HTTP/2 (RFC 9113 §3.4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@dataclass(slots=True)
class Switching:
    """The heads of the requests, and the bytes that came after a switch."""

    url: str = ""
    heads: list[str] = field(default_factory=list)
    tunnelled: list[bytes] = field(default_factory=list)


@contextmanager
def switching_upstream() -> Iterator[Switching]:
    """Serve one on loopback. After a 101 it sends back what it receives."""
    seen = Switching()

    class Door(BaseRequestHandler):
        def handle(self) -> None:
            stream = self.request.makefile("rb")
            head = "".join(iter(lambda: stream.readline().decode("latin-1"), "\r\n"))
            if not head:
                return  # a probe of the port
            seen.heads.append(head)
            lines = [line for line in head.lower().splitlines() if line.startswith("upgrade:")]
            wanted = [line.partition(":")[2].strip() for line in lines]
            if not wanted:
                self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                return
            digest = hashlib.sha1((WEBSOCKET_KEY + WEBSOCKET_GUID).encode(), usedforsecurity=False).digest()
            accept = base64.b64encode(digest).decode()
            self.request.sendall(
                f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {wanted[0]}\r\n"
                f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
            )
            while content := self.request.recv(65536):
                seen.tunnelled.append(content)
                self.request.sendall(content)

    class Server(ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, _request: object, _address: object) -> None:
            """Say nothing: proxies end connections with a reset."""

    with Server(("127.0.0.1", 0), Door) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        seen.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield seen
        server.shutdown()


def try_to_switch(edge: Proxy, path: str, *headers: str, sends: bytes = PREFACE) -> tuple[int, bytes]:
    """Ask for a switch, and send ``sends`` after a 101. Return the status, and what came back through the tunnel."""
    head = "\r\n".join([f"GET {path} HTTP/1.1", "Host: gateway.example.com", *headers]) + "\r\n\r\n"
    with socket.create_connection(("127.0.0.1", edge.port), timeout=ANSWER_SECONDS) as client:
        client.sendall(head.encode())
        answer = b""
        while b"\r\n\r\n" not in answer and (content := client.recv(65536)):
            answer += content
        status = int(answer.split(b" ", 2)[1]) if answer else 0
        if status != 101:
            return status, b""
        client.sendall(sends)
        return status, client.recv(65536)
