"""A closed loop of callers over kept connections: as many requests as a server answers."""

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, cycle
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
    return measure_streams(port, [cycle(requests[number::callers]) for number in range(callers)], seconds=seconds)


def measure_streams(port: int, streams: Sequence[Iterator[bytes]], *, seconds: float) -> Measured:
    """Send from one caller for each stream, at least one request. Raises AssertionError as ``measure``.

    What is on the way at the end is waited for, and its time counts.
    """
    times: list[list[float]] = [[] for _caller in streams]
    rates: list[float] = []
    barrier = Barrier(len(streams))

    def call(own_times: list[float], stream: Iterator[bytes]) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            barrier.wait()
            begun = start = perf_counter()
            while start - begun < seconds:
                connection.sendall(next(stream))
                _read_answer(connection)
                own_times.append(perf_counter() - start)
                start = perf_counter()
            rates.append(len(own_times) / (start - begun))

    threads = [Thread(target=call, args=pair) for pair in zip(times, streams, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rates) == len(streams), "a caller failed"
    return Measured(sum(rates), quantiles(chain.from_iterable(times), n=100)[98] * 1000)


def _read_answer(connection: socket.socket) -> None:
    answer = _received(connection)
    while b"\r\n\r\n" not in answer:
        answer += _received(connection)
    head, _blank, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), answer[:500]
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += _received(connection)


def _received(connection: socket.socket) -> bytes:
    # A server that closes the connection sends nothing for ever: without this, a caller would wait without an end.
    chunk = connection.recv(65_536)
    assert chunk, "the server has closed the connection"
    return chunk
