"""``python -m tests.benchmarks.receiver SECONDS``: answers each POST after a while, and a GET with their number."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.request import urlopen


class Connection(asyncio.Protocol):
    """One kept connection of a sender. The number of requests is that of all connections."""

    received = 0
    delay_seconds = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, blank, rest = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        if head.startswith(b"GET"):
            self._answer(str(Connection.received).encode())
        elif len(rest) >= int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]):
            Connection.received += 1
            if self.delay_seconds:
                asyncio.get_running_loop().call_later(self.delay_seconds, self._answer, b"")
            else:
                self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self._buffer = b""
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def serve(delay_seconds: float) -> None:
    Connection.delay_seconds = delay_seconds
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the parent reads the port
    await server.serve_forever()


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver in a process of its own."""

    url: str

    def count(self) -> int:
        """Return how many deliveries have arrived."""
        with urlopen(self.url, timeout=10) as answer:  # noqa: S310 - ours, on loopback
            return int(answer.read())


@contextmanager
def receiving(delay_seconds: float = 0.0) -> Iterator[Receiver]:
    """Run a receiver for the length of the block."""
    command = [sys.executable, "-m", "tests.benchmarks.receiver", str(delay_seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield Receiver(f"http://127.0.0.1:{int(process.stdout.readline())}/hook")
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
