"""Web processes as in production, over the database of the test."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from tempfile import TemporaryFile

import psutil

from catalog.authentication import HEADER
from stoa_cp.devserver.cluster import free_port
from stoa_cp.devserver.programs import is_answering
from tests.databases import database_url
from tests.waiting import wait_until

START_SECONDS = 120
STOP_SECONDS = 20  # told to end while they start, workers forget it


class WebProcess:
    """One server with a connection of its own to the database; ask it from one thread at a time."""

    def __init__(self, port: int, process: psutil.Process | None = None) -> None:
        self.port = port
        self._process = process
        self.token = ""
        self._connection = HTTPConnection("127.0.0.1", port, timeout=10)

    def ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request over the kept connection; return the status, the headers in lower case, and the body."""
        self._connection.request(method, path, body, headers | {HEADER: self.token})
        response = self._connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()

    def verify(self, key: str) -> str:
        """Return the code of a verification."""
        body = json.dumps({"key": key}).encode()
        _status, _headers, answer = self.ask(
            "POST", "/v1/gateway/keys/verify", {"Content-Type": "application/json"}, body
        )
        code: str = json.loads(answer)["code"]
        return code

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let the server and its workers sleep for the length of the block."""
        self.stop()
        try:
            yield
        finally:
            self.resume()

    def stop(self) -> None:
        """Let the server and its workers sleep (SIGSTOP)."""
        for process in self._everybody():
            process.suspend()

    def resume(self) -> None:
        for process in self._everybody():
            process.resume()

    def kill(self) -> None:
        """End the server and its workers (SIGKILL), also where they sleep."""
        for process in reversed(self._everybody()):
            process.kill()

    def workers(self) -> list[psutil.Process]:
        """Return the processes that answer."""
        assert self._process
        return self._process.children()

    def _everybody(self) -> list[psutil.Process]:
        assert self._process
        return [self._process, *self._process.children(recursive=True)]

    def twin(self) -> "WebProcess":
        """Return another connection to the same server."""
        twin = WebProcess(self.port)
        twin.token = self.token
        return twin

    def close(self) -> None:
        self._connection.close()


@dataclass(frozen=True, slots=True)
class Application:
    """What a server runs, with which settings, in how many workers, and in what environment."""

    wsgi: str = "stoa_cp.wsgi:application"
    settings: str = "stoa_cp.settings"
    workers: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def web_processes(*applications: Application) -> Iterator[list[WebProcess]]:
    """Start servers on free ports, and stop them."""
    with ExitStack() as stack:
        servers = [stack.enter_context(_serving(application)) for application in applications]
        for server in servers:
            is_up = partial(is_answering, "127.0.0.1", server.port, "/healthz")
            wait_until(is_up, "the web process starts", seconds=START_SECONDS)
        yield servers


@contextmanager
def _serving(application: Application) -> Iterator[WebProcess]:
    port = free_port(0)
    command = [sys.executable, "-m", "granian", application.wsgi, "--interface", "wsgi", "--no-ws"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(application.workers), "--blocking-threads", "4"]
    command += ["--workers-kill-timeout", str(STOP_SECONDS)]
    environment = os.environ | {"DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": application.settings}
    environment |= application.environment
    with TemporaryFile() as log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process:
        server = WebProcess(port, psutil.Process(process.pid))
        try:
            yield server
        finally:
            server.close()
            process.terminate()
            process.wait()
            log.seek(0)
            sys.stderr.write("".join(line for line in map(bytes.decode, log) if "[info" not in line.lower()))
