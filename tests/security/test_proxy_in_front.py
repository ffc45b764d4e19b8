"""The guide's pieces for proxies, run in front of a real server: they load, and addresses arrive as they should."""

import os
import re
import ssl
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from apikeys.services.keys import NewKey, issue_key
from catalog.authentication import HEADER
from catalog.services.gateways import Binding, create_gateway
from stoa_cp.devserver.cluster import free_port
from stoa_cp.domain.actors import SYSTEM
from tenants.models import Tenant
from tests.apikeys.processes import Application, WebProcess, web_processes
from tests.factories import ApiFactory, SubscriptionFactory
from tests.gateways.proxies import await_port
from tests.programs import require_program
from tests.project.documents import ROOT, blocks

pytestmark = pytest.mark.django_db(transaction=True)

# The proxy calls from 127.0.0.1, which is trusted; all of 127.0.0.0/8 are addresses of this machine.
EDGE, ELSEWHERE, CONSUMER = "127.0.0.2", "127.0.0.3", "192.0.2.7"
PRODUCTION, HARDENING = ((ROOT / f"templates/guide/{page}.md").read_text() for page in ("production", "hardening"))


@pytest.fixture(scope="module")
def server(django_db_setup: None) -> Iterator[WebProcess]:
    with web_processes(Application(environment={"STOA_TRUSTED_PROXIES": "127.0.0.1/32"})) as (server,):
        yield server


@pytest.fixture(params=["nginx", "hardened nginx", "haproxy", "caddy"])
def url(request: Any, server: WebProcess, tmp_path: Path) -> Iterator[str]:
    """A proxy with what the guide writes for it, in front of the server; only addresses and folders differ."""
    port = free_port(0)
    match request.param:
        case "haproxy":
            command = configure_haproxy(tmp_path, port, server.port)
        case "caddy":
            command = configure_caddy(tmp_path, port, server.port)
        case name:
            command = configure_nginx(tmp_path, port, server.port, is_hardened=name == "hardened nginx")
    with subprocess.Popen(command, env=os.environ | {"HOME": str(tmp_path)}) as process:
        try:
            await_port(process, port)
            yield f"{'https' if 'nginx' in request.param else 'http'}://127.0.0.1:{port}"
        finally:
            process.terminate()


def configure_nginx(folder: Path, port: int, upstream: int, *, is_hardened: bool) -> list[str]:
    """Write the piece of production, perhaps with hardening's addition in it; return the command that runs it."""
    (piece,) = blocks(PRODUCTION, "nginx")
    if is_hardened:
        (addition,) = blocks(HARDENING, "nginx")
        piece = f"{piece.rstrip().removesuffix('}')}{addition}}}\n"
    make_certificate(folder)
    piece = piece.replace("listen 443", f"listen 127.0.0.1:{port}").replace("/etc/ssl", str(folder))
    piece = piece.replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")
    (folder / "nginx.conf").write_text(f"pid nginx.pid; events {{}}\nhttp {{ access_log off;\n{piece}}}\n")
    command = [require_program("nginx"), "-e", "stderr", "-p", str(folder), "-c", "nginx.conf"]
    return [*command, "-g", "daemon off; master_process off;"]


def directives_of(proxy: str) -> tuple[str, str]:
    """Return what the table of other proxies has for one: what removes header names, and what appends an address."""
    ((removes, appends),) = re.findall(rf"^\| {proxy} \| `(.+?)`.*? \| `(.+?)`", PRODUCTION, re.MULTILINE)
    return removes, appends


def configure_haproxy(folder: Path, port: int, upstream: int) -> list[str]:
    removes, appends = directives_of("HAProxy")
    lines = ["defaults", "mode http", "timeout connect 5s", "timeout client 10s", "timeout server 60s"]
    lines += ["timeout http-request 10s", "option http-buffer-request"]
    lines += ["listen stoa", f"bind 127.0.0.1:{port}", removes, appends, f"server stoa 127.0.0.1:{upstream}"]
    (folder / "haproxy.cfg").write_text("\n".join(lines) + "\n")
    return [require_program("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")]


def configure_caddy(folder: Path, port: int, upstream: int) -> list[str]:
    removes, appends = directives_of("Caddy")
    trusted = appends.replace("10.0.0.0/8", f"{EDGE}/32")
    site = f"bind 127.0.0.1\nroute {{\n{removes}\nreverse_proxy 127.0.0.1:{upstream} {{\n{trusted}\n}}\n}}"
    (folder / "Caddyfile").write_text(f"{{\nadmin off\n}}\nhttp://:{port} {{\n{site}\n}}\n")
    return [require_program("caddy"), "run", "--config", str(folder / "Caddyfile")]


def make_certificate(folder: Path) -> None:
    name = f"{folder}/stoa.example.com"
    command = [require_program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"]
    command += ["-out", f"{name}.pem", "-keyout", f"{name}.key"]
    subprocess.run(command, check=True, capture_output=True)


def status_of(url: str, path: str, headers: dict[str, str], caller: str) -> int:
    connect: Callable[..., HTTPConnection] = HTTPConnection
    if url.startswith("https:"):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connect = partial(HTTPSConnection, context=context)
    connection = connect("127.0.0.1", urlsplit(url).port, timeout=15, source_address=(caller, 0))
    try:
        connection.request("GET", path, headers={"Host": "localhost"} | headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X_Forwarded_For", "x-forwarded_for"])
def test_no_header_of_a_client_replaces_its_address(url: str, name: str) -> None:
    token = create_gateway("edge-1", Binding(allowed_ips=[f"{EDGE}/32"]), by=SYSTEM).secret

    def status(caller: str) -> int:
        return status_of(url, "/v1/gateway/config", {HEADER: token, name: EDGE}, caller)

    assert (status(EDGE), status(ELSEWHERE)) == (200, 401)


def test_the_address_that_a_gateway_reports_arrives(url: str, acme: Tenant) -> None:
    api = ApiFactory(tenant=acme, path="/payments")
    mobile = SubscriptionFactory(tenant=acme, api=api, active=True)
    secret = issue_key(mobile, NewKey(allowed_ips=[f"{CONSUMER}/32"]), by=SYSTEM).secret
    token = create_gateway("edge-1", by=SYSTEM).secret
    call = {HEADER: token, "X-API-Key": secret, "X-Forwarded-Uri": "/acme/payments"}

    def status(*reported: str) -> int:
        return status_of(url, "/v1/gateway/authorize", call | {"X-Forwarded-For": ", ".join(reported)}, EDGE)

    assert (status(CONSUMER), status(ELSEWHERE), status(CONSUMER, ELSEWHERE)) == (200, 403, 403)


@pytest.mark.parametrize("url", ["hardened nginx"], indirect=True)
def test_the_console_and_the_metrics_are_closed_to_the_internet(url: str) -> None:
    assert status_of(url, "/admin/login/", {}, ELSEWHERE) == 403
    assert status_of(url, "/metrics", {}, ELSEWHERE) == 404
    assert status_of(url, "/healthz", {}, ELSEWHERE) == 200
