"""Clients that write over HTTP, and keep what each of their calls came to."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from itertools import count
from threading import Event, Lock, Thread
from time import monotonic, sleep
from typing import Any

CALL_SECONDS = 30
_numbers = count()  # of the APIs that are created; a name is taken once


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its status (0: the connection broke), its answer (or why it broke), and when (monotonic seconds)."""

    status: int
    body: bytes
    began_at: float
    ended_at: float

    @property
    def seconds(self) -> float:
        return self.ended_at - self.began_at

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """Speaks for one person over one connection; ask it from one thread at a time."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=CALL_SECONDS)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def post(self, path: str, body: object, **headers: str) -> Call:
        """Send JSON; a header's name is spelt with underscores."""
        return self.send("POST", path, json.dumps(body), **headers)

    def patch(self, path: str, body: object) -> Call:
        return self.send("PATCH", path, json.dumps(body))

    def send(self, method: str, path: str, content: str = "", **headers: str) -> Call:
        named = self._headers | {name.replace("_", "-"): value for name, value in headers.items()}
        began_at = monotonic()
        try:
            self._connection.request(method, f"/v1{path}", content, named)
            response = self._connection.getresponse()
            status, content = response.status, response.read()
        except (OSError, HTTPException) as error:
            self._connection.close()
            status, content = 0, repr(error).encode()
        return Call(status, content, began_at, monotonic())

    def close(self) -> None:
        """Close the connection; the next call opens another one."""
        self._connection.close()

    def create_api(self, tenant_id: str) -> Call:
        """Make a change that has an event."""
        name = f"api-{next(_numbers)}"
        body = {"name": name, "path": f"/{name}", "upstream_url": "https://198.51.100.7"}
        return self.post(f"/tenants/{tenant_id}/apis", body)


class Load:
    """Callers that create APIs one after the other until they are told to stop."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._lock = Lock()
        self._stopping = Event()

    def created(self) -> set[str]:
        """Return the ids of all that we were told exists."""
        return {call.json["id"] for call in self.calls if call.status == 201}

    def statuses(self) -> dict[int, int]:
        """Return how often each status was answered."""
        found = [call.status for call in self.calls]
        return {status: found.count(status) for status in sorted(set(found))}

    def call(self, caller: Caller, tenant_id: str, pause_seconds: float) -> None:
        while not self._stopping.is_set():
            made = caller.create_api(tenant_id)
            with self._lock:
                self.calls.append(made)
            sleep(pause_seconds)

    def stop(self) -> None:
        self._stopping.set()


@contextmanager
def writing(port: int, token: str, tenant_id: str, *, callers: int, pause_seconds: float = 0.01) -> Iterator[Load]:
    """Keep ``callers`` calls in flight for the length of the block."""
    load, clients = Load(), [Caller(port, token) for _number in range(callers)]
    threads = [Thread(target=load.call, args=(client, tenant_id, pause_seconds)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop()
        for thread in threads:
            thread.join()
        for client in clients:
            client.close()
