"""Prometheus, as Debian has it, scrapes a real server by the configuration in the guide, through the guide's nginx."""

import json
import re
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml
from django.test import Client
from pytest_django import Settings

from stoa_cp.devserver.cluster import free_port
from stoa_cp.devserver.programs import is_answering
from stoa_cp.guide.pages import read_page
from tests.apikeys.processes import Application, web_processes
from tests.gateways.proxies import await_port
from tests.programs import require_program
from tests.project.documents import CODE, blocks, rows, section
from tests.security.test_proxy_in_front import configure_nginx
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "4t7Yw1zQ9cR6mK2pX8vN5bH3jL0fD-sE"
GUIDE = read_page("watching").text
# What Prometheus 3 sends first of all: it refuses an answer without a Content-Type that it knows.
ACCEPT_OF_PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.fixture
def proxy_port(tmp_path: Path) -> Iterator[int]:
    """The server behind the guide's nginx, whose certificate Prometheus can verify."""
    port = free_port(0)
    with web_processes(Application(environment={"STOA_METRICS_TOKEN": TOKEN})) as (server,):
        command = configure_nginx(tmp_path, port, server.port, is_hardened=False)
        make_certificate(tmp_path)
        with subprocess.Popen(command) as nginx:
            try:
                await_port(nginx, port)
                yield port
            finally:
                nginx.terminate()


def make_certificate(folder: Path) -> None:
    command = [require_program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-out", f"{folder}/stoa.example.com.pem", "-keyout", f"{folder}/stoa.example.com.key"]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def prometheus(proxy_port: int, tmp_path: Path) -> Iterator[int]:
    """Prometheus with the guide's configuration; only the address, the files and the interval differ."""
    (piece,) = blocks(GUIDE, "yaml")
    configuration = yaml.safe_load(piece) | {"global": {"scrape_interval": "1s"}}
    (job,) = configuration["scrape_configs"]
    job["static_configs"][0]["targets"] = [f"127.0.0.1:{proxy_port}"]
    job["authorization"]["credentials_file"] = f"{tmp_path}/token"
    job["tls_config"] = {"ca_file": f"{tmp_path}/stoa.example.com.pem"}
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    file, port = tmp_path / "prometheus.yml", free_port(0)
    file.write_text(yaml.safe_dump(configuration))
    subprocess.run([require_program("promtool"), "check", "config", str(file)], check=True, capture_output=True)
    command = [require_program("prometheus"), f"--config.file={file}", f"--storage.tsdb.path={tmp_path}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with subprocess.Popen(command) as process:
        try:
            wait_until(lambda: is_answering("127.0.0.1", port, "/-/ready"), "Prometheus is ready")
            yield port
        finally:
            process.terminate()


def ask(prometheus: int, expression: str) -> list[dict[str, Any]]:
    """Return the series of an expression, as the API of Prometheus has them."""
    client = HTTPConnection("127.0.0.1", prometheus, timeout=10)
    client.request("GET", f"/api/v1/query?{urlencode({'query': expression})}")
    answer = json.loads(client.getresponse().read())
    client.close()
    assert answer["status"] == "success", answer
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def value_of(prometheus: int, expression: str) -> str | None:
    series = ask(prometheus, expression)
    return series[0]["value"][1] if len(series) == 1 else None


def test_prometheus_scrapes_as_the_guide_says(prometheus: int) -> None:
    wait_until(lambda: value_of(prometheus, "up") == "1", "the target is up", seconds=60)

    assert value_of(prometheus, "stoa_database_up") == "1"
    assert len(ask(prometheus, '{__name__=~"stoa_.+"}')) > 40
    # One scrape after the first, which counts the first.
    wait_until(lambda: bool(ask(prometheus, 'stoa_http_requests_total{route="metrics"}')), "it counts scrapes")


def test_prometheus_understands_the_guides_expressions(prometheus: int) -> None:
    cells = [cell for row in rows(section(GUIDE, "Questions and answers")) for cell in CODE.findall(row[1])]
    expressions = [cell for cell in cells if re.search(r"\W", cell)]

    assert len(expressions) >= 5
    for expression in expressions:
        ask(prometheus, expression)


def test_promtool_finds_no_fault_in_names_and_types(client: Client, settings: Settings) -> None:
    settings.STOA_METRICS_ALLOW = ["127.0.0.0/8"]
    client.get("/metrics")
    text = client.get("/metrics").content
    checked = subprocess.run(
        [require_program("promtool"), "check", "metrics"], input=text, capture_output=True, check=False
    )

    assert (checked.returncode, checked.stderr.decode()) == (0, "")


def test_prometheus_3_knows_the_content_type(client: Client, settings: Settings) -> None:
    settings.STOA_METRICS_ALLOW = ["127.0.0.0/8"]
    response = client.get("/metrics", headers={"Accept": ACCEPT_OF_PROMETHEUS_3})

    assert response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
