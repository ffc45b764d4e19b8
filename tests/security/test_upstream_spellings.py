"""The host that is judged is the host that curl, nginx and the writers of configurations take from the same URL.

Thousands of spellings are made from hosts that must not be reached and from what parsers disagree about. What the rules
let pass goes through the real programs, which tell where they would connect.
"""

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from itertools import product
from pathlib import Path
from random import Random
from socketserver import BaseRequestHandler, StreamRequestHandler, ThreadingTCPServer, ThreadingUDPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from pytest_django.fixtures import Settings

from catalog.upstreams import judge_upstreams, parse_upstream
from stoa_cp.devserver.cluster import free_port
from stoa_cp.net.urls import DEFAULT_PORTS, ParsedUrl, UrlRefused
from tests.programs import require_program
from tests.waiting import wait_until

LOCAL = re.compile(r"127\.0\.0\.1|::1|169\.254\.169\.254|(?:.+\.)?localhost")
SCHEMES = ["http://", "https://", "HTTP://", "http:/", "http:", "//", "http:///", "http:\\\\", " http://", "ht\ttp://"]
FORBIDDEN = [
    "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001", "0", "localhost",
    "LOCALHOST", "localhost.", "a.localhost", "[::1]", "[::ffff:127.0.0.1]", "[0:0::1]", "169.254.169.254",
    "[::1%25lo]",
    "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460", "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021", "127\uff0e0.0.1",
    "\uff4cocalhost", "loc\u00adalhost", "loc\u200balhost", "local%68ost", "127.0.0%2e1", "127%2E0.0.1",
    "\u2113ocalhost",
]  # fmt: skip
HARMLESS = ["ok.example", "10.0.0.7", "[2001:DB8::7]", "xn--bcher-kva.example", "OK.Example."]
AROUND = [
    "{h}", "{h}/", "{h}:80", "{h}:8080/base", "{h}:", "{h}:0", "{h}:080", "{h}:65536", "{h}:80:81", "{h}: 80",
    "{h}:8\t0",
    "user@{h}", "user:word@{h}", "@{h}", ":@{h}", "ok.example@{h}", "{h}@ok.example", "{h}:80@ok.example",
    "{h}\\@ok.example", "ok.example\\@{h}", "ok.example#@{h}", "{h}#@ok.example", "ok.example?@{h}", "{h}?@ok.example",
    "ok.example/@{h}", "{h}/@ok.example", "ok.example;@{h}", "{h};ok.example", "{h},ok.example", "ok.example%40{h}",
    "{h}%2f@ok.example", "{h}%00.ok.example", "{h}\x00.ok.example", "ok.example\t.{h}", "{h}\t.ok.example", "{h}\n",
    "\n{h}",
    " {h}", "{h} ", "{h}%20", "{h}.", "{h}..", ".{h}", "{h}.ok.example", "ok.example.{h}", "[{h}]", "{h}/../", "{h}//",
    "{h}\\", "\\{h}", "{h}/a@b", "{h}/%2e%2e/x", "{h}/\u00e9", "{h}:\uff18\uff10",
]  # fmt: skip
FRAGMENTS = [
    *FORBIDDEN[:14], *HARMLESS, "http://", "https:", "//", "/", "\\", "@", ":", ":80", "#", "?", ".", "..", "[", "]",
    "%2e",
    "%40", "%", "\t", "\n", " ", "a", "-", "_", "x" * 63, "\uff0e", "\u3002", "\u00df", ";", "&", "=", "+", "~", "unix",
]  # fmt: skip


def spellings() -> Iterator[str]:
    """Yield the same URLs each time."""
    for scheme, host, around in product(SCHEMES, FORBIDDEN + HARMLESS, AROUND):
        yield scheme + around.format(h=host)
    chance = Random(11)  # noqa: S311 - a seed, no secret
    for _number in range(20_000):
        yield "http://" + "".join(chance.choices(FRAGMENTS, k=chance.randint(1, 6)))


def accepted() -> dict[str, ParsedUrl]:
    """Return the spellings that the rules for new upstreams let pass, with the parts that are judged."""
    found = {}
    for url in dict.fromkeys(spellings()):
        try:
            found[url] = parse_upstream(url)
        except UrlRefused:
            continue
    return found


ACCEPTED = accepted()


def authority(parts: ParsedUrl) -> str:
    host = f"[{parts.host}]" if ":" in parts.host else parts.host
    return f"{host}:{parts.port or DEFAULT_PORTS[parts.scheme]}"


def test_there_are_thousands_of_spellings_and_hundreds_pass() -> None:
    assert len(set(spellings())) > 20_000
    assert len(ACCEPTED) > 300


def test_a_stored_spelling_is_its_own_spelling() -> None:
    for parts in ACCEPTED.values():
        assert parse_upstream(str(parts)) == parts


def test_the_parser_of_the_gateways_files_finds_the_same_parts() -> None:
    for parts in ACCEPTED.values():
        read = urlsplit(str(parts))
        assert (read.scheme, read.hostname, read.port, read.path) == (parts.scheme, parts.host, parts.port, parts.path)
        assert (read.username, read.query, read.fragment) == (None, "", "")


def test_curl_would_call_the_judged_host(tmp_path: Path) -> None:
    curl = require_program("curl")
    urls = list(ACCEPTED)
    with recording_proxy() as (port, seen):
        asked = [*urls, *(str(ACCEPTED[url]) for url in urls)]  # as it was sent, and as it is stored
        run_curl(curl, port, asked, tmp_path)

    for number, url in enumerate(asked):
        parts = ACCEPTED.get(url) or ACCEPTED[urls[number - len(urls)]]
        # curl keeps the dot at a name's end, which means the same host.
        assert seen.get(str(number), "").lower().replace(".:", ":") == authority(parts), url


def test_nginx_would_call_the_judged_host(tmp_path: Path) -> None:
    # Of addresses, only loopback: nginx connects.
    asked = [
        parts for parts in ACCEPTED.values() if ":" not in parts.host and not parts.host.startswith(("10.", "169."))
    ]
    with no_names() as resolver, nginx(tmp_path, resolver) as port:
        for parts in dict.fromkeys(asked):
            connection = HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/", headers={"X-Upstream": str(parts)})
            answer = connection.getresponse()
            found = f"{answer.headers['X-Proxy-Host'].partition(':')[0]}:{answer.headers['X-Proxy-Port']}"
            assert (found, answer.status) == (authority(parts), 502), str(parts)
            connection.close()


def test_what_passes_and_leads_to_a_forbidden_host_is_refused_by_its_address(settings: Settings) -> None:
    settings.STOA_UPSTREAM_ALLOW = []
    local = {str(parts) for parts in ACCEPTED.values() if LOCAL.fullmatch(parts.host)}

    assert len(local) > 50
    assert {url for url, refusal in judge_upstreams(local).items() if refusal} == local


@contextmanager
def serving(server: Any) -> Iterator[int]:
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def recording_proxy() -> Iterator[tuple[int, dict[str, str]]]:
    """Serve an HTTP proxy that refuses everything and remembers, by the header X-Tag, where it was to connect."""
    seen: dict[str, str] = {}

    class Door(StreamRequestHandler):
        def handle(self) -> None:
            _method, target, _version = self.rfile.readline().decode("latin-1").split(" ")
            headers = dict(line.decode().lower().strip().split(": ", 1) for line in iter(self.rfile.readline, b"\r\n"))
            host = target.partition("://")[2].partition("/")[0] if "://" in target else target
            seen[headers["x-tag"]] = host if ":" in host.rpartition("]")[2] else f"{host}:80"
            self.wfile.write(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with serving(ThreadingTCPServer(("127.0.0.1", 0), Door)) as port:
        yield port, seen


def run_curl(curl: str, port: int, urls: list[str], folder: Path) -> None:
    """Send a request for each URL through the proxy, with its number as X-Tag."""
    blocks = [
        f'url = "{url}"\ngloboff\nsilent\nproxy = "http://127.0.0.1:{port}"\nnoproxy = ""\nmax-time = 10\n'
        f'header = "X-Tag: {number}"\nproxy-header = "X-Tag: {number}"\noutput = "{os.devnull}"\n'
        for number, url in enumerate(urls)
    ]
    configuration = folder / "curl.conf"
    configuration.write_text("next\n".join(blocks))
    subprocess.run([curl, "--config", str(configuration)], check=False, timeout=120, env={"PATH": os.environ["PATH"]})


@contextmanager
def no_names() -> Iterator[int]:
    """Serve DNS in which no name exists (RFC 1035 §4.1.1)."""

    class Door(BaseRequestHandler):
        def handle(self) -> None:
            question, sender = self.request
            sender.sendto(question[:2] + b"\x81\x83" + question[4:12] + question[12:], self.client_address)

    with serving(ThreadingUDPServer(("127.0.0.1", 0), Door)) as port:
        yield port


@contextmanager
def nginx(folder: Path, resolver: int) -> Iterator[int]:
    """Run an nginx that passes each call on to the URL in X-Upstream, and answers which host it took from that."""
    port = free_port(0)
    (folder / "nginx.conf").write_text(
        f"""daemon off; master_process off; pid nginx.pid; error_log nginx-error.log crit;
        events {{}}
        http {{
            access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u;
            scgi_temp_path s; large_client_header_buffers 4 32k;
            resolver 127.0.0.1:{resolver} ipv6=off; resolver_timeout 5s;
            server {{
                listen 127.0.0.1:{port};
                location / {{
                    proxy_pass $http_x_upstream; proxy_connect_timeout 2s;
                    add_header X-Proxy-Host "$proxy_host" always; add_header X-Proxy-Port "$proxy_port" always;
                }}
            }}
        }}"""
    )
    process = subprocess.Popen([require_program("nginx"), "-p", str(folder), "-c", "nginx.conf"])
    try:
        wait_until(lambda: answers(port))
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
