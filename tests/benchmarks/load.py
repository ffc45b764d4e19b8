"""A closed loop of callers over kept connections: as many requests as a server answers."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from statistics import quantiles
from threading import Barrier, Thread
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Measured:
    """Requests a second, and the 99th percentile of their times in milliseconds."""

    per_second: float
    p99_ms: float


def measure(port: int, requests: Sequence[bytes], *, seconds: float, callers: int) -> Measured:
    """Send the requests in turn from all callers. Raises AssertionError for an answer that is no 200."""
    times: list[list[float]] = [[] for _caller in range(callers)]
    barrier = Barrier(callers)

    def call(number: int) -> None:
        own = cycle(requests[number::callers])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            barrier.wait()
            end = perf_counter() + seconds
            while (start := perf_counter()) < end:
                connection.sendall(next(own))
                _read_answer(connection)
                times[number].append(perf_counter() - start)

    threads = [Thread(target=call, args=[number]) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = [time for own in times for time in own]
    assert all(times), "a caller failed"
    return Measured(len(everything) / seconds, quantiles(everything, n=100)[98] * 1000)


def _read_answer(connection: socket.socket) -> None:
    answer = connection.recv(65_536)
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65_536)
    head, _blank, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), answer[:500]
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65_536)
