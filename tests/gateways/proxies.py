"""Real proxies as child processes in folders of their own, and upstreams that tell what reached them."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from django.conf import settings

from apikeys.gateway.exporters.site import Site
from stoa_cp.devserver.cluster import free_port
from tests.gateways.files import exported
from tests.programs import require_program
from tests.waiting import wait_until

START_SECONDS = 15
ANSWER_SECONDS = 15
NO_ROUTE = b"404 page not found\n"  # Traefik, before its file provider has read the file
FILES = {
    "nginx": "nginx.conf",
    "caddy": "Caddyfile",
    "envoy": "envoy.yaml",
    "traefik": "dynamic.yaml",
    "haproxy": "haproxy.cfg",
}
LUA_OF_HAPROXY = settings.BASE_DIR / "templates/gateways/stoa.lua"


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, _request: Any, _address: Any) -> None:
        """Say nothing: HAProxy ends its connections with a reset."""


@dataclass(slots=True)
class Upstream:
    """What an API's own server saw: method, raw target and headers, in lower case, of each call."""

    url: str = ""
    calls: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)


@contextmanager
def upstream() -> Iterator[Upstream]:
    """Serve one on loopback."""
    seen = Upstream()

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            seen.calls.append((self.command, self.path, headers))
            content = json.dumps({"body": body.decode()}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Stoa-Api", "what an upstream says")
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = QuietServer(("127.0.0.1", 0), Door)
    Thread(target=server.serve_forever, daemon=True).start()
    seen.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got; header names in lower case, and a header that came twice joined with a comma."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = json.loads(self.content)["error"]
        return error


@dataclass(frozen=True, slots=True)
class Proxy:
    """A gateway that listens on loopback."""

    program: str
    port: int
    folder: Path
    caller: str = "127.0.0.1"  # the address that calls come from: any of loopback's

    @property
    def log(self) -> Path:
        return self.folder / "access.json"

    @property
    def logged(self) -> str:
        """All that the program has written, where and of whatever kind."""
        names = ("access.json", "nginx-error.log", "output.log")
        return "".join(path.read_text(errors="replace") for name in names if (path := self.folder / name).exists())

    def call(self, target: str | bytes, *headers: str, method: str = "GET", body: bytes = b"") -> Answer:
        """Send a request with exactly these bytes as its target."""
        raw = target.encode() if isinstance(target, str) else target
        lines = ["Host: gateway.example.com", "Connection: close", f"Content-Length: {len(body)}", *headers]
        head = method.encode() + b" " + raw + b" HTTP/1.1\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n"
        address, source = ("127.0.0.1", self.port), (self.caller, 0)
        with socket.create_connection(address, timeout=ANSWER_SECONDS, source_address=source) as client:
            client.sendall(head + body)
            response = HTTPResponse(client, method=method)
            response.begin()
            content = response.read()
        sent = {name.lower() for name, _value in response.getheaders()}
        return Answer(response.status, {name: str(response.getheader(name)) for name in sent}, content)


@contextmanager
def proxy(program: str, site: Site, folder: Path, text: str = "") -> Iterator[Proxy]:
    """Run the exported configuration of a standalone site, or ``text``; ``site.listen`` names its port."""
    path = require_program(program)
    (folder / FILES[program]).write_text(text or exported(program, site))
    shutil.copy(LUA_OF_HAPROXY, folder)
    output = folder / "output.log"
    with output.open("wb") as said:
        process = subprocess.Popen(
            command_of(program, path, site.listen),
            cwd=folder,
            env=os.environ | {"HOME": str(folder)},
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        await_port(process, site.listen_port)
        running = Proxy(program, site.listen_port, folder)
        if program == "traefik":
            _await_routes(running)
        yield running
    finally:
        process.kill()  # Traefik would take seconds to say goodbye
        process.wait(timeout=10)
        sys.stderr.write(output.read_text(errors="replace"))  # pytest shows it if the test has failed


def listen() -> str:
    return f"127.0.0.1:{free_port(0)}"


def command_of(program: str, path: str, listen: str) -> list[str]:
    match program:
        case "caddy":
            return [path, "run", "--adapter", "caddyfile", "--config", FILES[program]]
        case "envoy":
            return [path, "--config-path", FILES[program], "--disable-hot-restart", "--log-level", "warning"]
        case "haproxy":
            return [path, "-db", "-f", FILES[program]]
        case "traefik":
            # What the file provider does not carry: where to listen.
            entry = f"--entryPoints.web.address={listen}"
            return [path, entry, f"--providers.file.filename={FILES[program]}", "--global.checkNewVersion=false"]
        case _:
            # One process without a master: it is our child, runs as our own user, and ends with us.
            return [path, "-e", "stderr", "-p", ".", "-c", FILES[program], "-g", "daemon off; master_process off;"]


def await_port(process: subprocess.Popen[bytes], port: int) -> None:
    def is_open_or_over() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0 or process.poll() is not None

    wait_until(is_open_or_over, "the proxy starts", seconds=START_SECONDS)
    assert process.poll() is None, "the proxy ended"


def _await_routes(traefik: Proxy) -> None:
    wait_until(lambda: traefik.call("/").content != NO_ROUTE, "Traefik takes the file", seconds=START_SECONDS)
