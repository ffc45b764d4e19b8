"""The nginx pieces of the guide, run in front of a real server: they load, and addresses arrive as they should."""

import ssl
import subprocess
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="module")
def server(django_db_setup: None) -> Iterator[WebProcess]:
    with web_processes(Application(environment={"STOA_TRUSTED_PROXIES": "127.0.0.1/32"})) as (server,):
        yield server


@pytest.fixture(params=["production", "hardening"])
def port(request: Any, server: WebProcess, tmp_path: Path) -> Iterator[int]:
    """nginx with the piece of production, and with hardening's addition in it; only ports and the folder differ."""
    (piece,) = blocks((ROOT / "templates/guide/production.md").read_text(), "nginx")
    if request.param == "hardening":
        (addition,) = blocks((ROOT / "templates/guide/hardening.md").read_text(), "nginx")
        piece = f"{piece.rstrip().removesuffix('}')}{addition}}}\n"
    port = free_port(0)
    make_certificate(tmp_path)
    piece = piece.replace("listen 443", f"listen 127.0.0.1:{port}").replace("/etc/ssl", str(tmp_path))
    piece = piece.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    (tmp_path / "nginx.conf").write_text(f"pid nginx.pid; events {{}}\nhttp {{ access_log off;\n{piece}}}\n")
    command = [require_program("nginx"), "-e", "stderr", "-p", str(tmp_path), "-c", "nginx.conf"]
    with subprocess.Popen([*command, "-g", "daemon off; master_process off;"]) as process:
        try:
            await_port(process, port)
            yield port
        finally:
            process.terminate()


def make_certificate(folder: Path) -> None:
    name = f"{folder}/stoa.example.com"
    command = [require_program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"]
    command += ["-out", f"{name}.pem", "-keyout", f"{name}.key"]
    subprocess.run(command, check=True, capture_output=True)


def status_of(port: int, path: str, headers: dict[str, str], caller: str) -> int:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = HTTPSConnection("127.0.0.1", port, timeout=15, context=context, source_address=(caller, 0))
    try:
        connection.request("GET", path, headers={"Host": "localhost"} | headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X_Forwarded_For", "x-forwarded_for"])
def test_no_header_of_a_client_replaces_its_address(port: int, name: str) -> None:
    token = create_gateway("edge-1", Binding(allowed_ips=[f"{EDGE}/32"]), by=SYSTEM).secret

    def status(caller: str) -> int:
        return status_of(port, "/v1/gateway/config", {HEADER: token, name: EDGE}, caller)

    assert (status(EDGE), status(ELSEWHERE)) == (200, 401)


def test_the_address_that_a_gateway_reports_arrives(port: int, acme: Tenant) -> None:
    api = ApiFactory(tenant=acme, path="/payments")
    mobile = SubscriptionFactory(tenant=acme, api=api, active=True)
    secret = issue_key(mobile, NewKey(allowed_ips=[f"{CONSUMER}/32"]), by=SYSTEM).secret
    token = create_gateway("edge-1", by=SYSTEM).secret
    call = {HEADER: token, "X-API-Key": secret, "X-Forwarded-Uri": "/acme/payments"}

    def status(*reported: str) -> int:
        return status_of(port, "/v1/gateway/authorize", call | {"X-Forwarded-For": ", ".join(reported)}, EDGE)

    assert (status(CONSUMER), status(ELSEWHERE), status(CONSUMER, ELSEWHERE)) == (200, 403, 403)


@pytest.mark.parametrize("port", ["hardening"], indirect=True)
def test_the_console_and_the_metrics_are_closed_to_the_internet(port: int) -> None:
    assert status_of(port, "/admin/login/", {}, ELSEWHERE) == 403
    assert status_of(port, "/metrics", {}, ELSEWHERE) == 404
    assert status_of(port, "/healthz", {}, ELSEWHERE) == 200
