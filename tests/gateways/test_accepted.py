"""What we write is accepted by the programs themselves, and what is broken is not: their check can fail."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from apikeys.gateway.exporters.site import Site
from stoa_cp.devserver.cluster import free_port
from tests.gateways.conftest import TOKEN
from tests.gateways.files import exported
from tests.gateways.proxies import (
    FILES,
    LUA_OF_HAPROXY,
    NO_ROUTE,
    START_SECONDS,
    Proxy,
    await_port,
    command_of,
    upstream,
)
from tests.programs import require_program
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db

CHECKS = {
    "nginx": ("-t", "-e", "stderr", "-p", ".", "-c"),
    "caddy": ("validate", "--adapter", "caddyfile", "--config"),
    "haproxy": ("-c", "-f"),
    "envoy": ("--mode", "validate", "--config-path"),
}


@pytest.mark.parametrize("program", CHECKS)
def test_the_program_accepts_it(site: Site, program: str, tmp_path: Path) -> None:
    token = TOKEN if program == "nginx" else ""  # which reads no environment
    sites = (
        site,
        replace(site, is_standalone=True, token=token),
        replace(site, control_plane_url="https://127.0.0.1:8443"),
        replace(site, routes=()),
    )
    for each in sites:
        accepted, said = judged(program, exported(program, each), tmp_path)
        assert accepted, said
        assert "not formatted" not in said  # as Caddy would put it


@pytest.mark.parametrize(
    ("program", "right", "wrong", "complaint"),
    [
        ("nginx", "auth_request ", "auth_demand ", 'unknown directive "auth_demand"'),
        ("caddy", "forward_auth", "forward_auht", "unrecognized directive: forward_auht"),
        ("haproxy", "use_backend", "use_bakend", "unknown keyword 'use_bakend'"),
        ("envoy", "failure_mode_allow", "failure_mode_alow", "'failure_mode_alow') has unknown fields"),
        ("envoy", "connect_timeout: 2s", "connect_timeout: 0s", "ConnectTimeout: value must be greater than 0s"),
    ],
)
def test_the_program_refuses_what_is_broken(
    site: Site, program: str, right: str, wrong: str, complaint: str, tmp_path: Path
) -> None:
    text = exported(program, site)
    assert right in text
    accepted, said = judged(program, text.replace(right, wrong), tmp_path)
    assert not accepted
    assert complaint in said


def judged(program: str, text: str, folder: Path) -> tuple[bool, str]:
    """Return whether a program's own check accepts a configuration, and what it says."""
    path = require_program(program)
    shutil.copy(LUA_OF_HAPROXY, folder)
    for place in ("/var/log/nginx/", "/var/log/caddy/", "/etc/haproxy/"):
        text = text.replace(place, f"{folder}/")
    if program == "nginx" and "events {}" not in text:
        text = f"pid part.pid; error_log stderr; events {{}} http {{\n{text}}}\n"
    (folder / FILES[program]).write_text(text)
    command = [path, *CHECKS[program], FILES[program]]
    environment = os.environ | {"STOA_GATEWAY_TOKEN": TOKEN, "HOME": str(folder)}
    checked = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=30
    )
    return checked.returncode == 0, checked.stdout + checked.stderr


@pytest.fixture
def file_of_traefik(site: Site) -> Iterator[str]:
    with upstream() as control_plane:
        yield exported("traefik", replace(site, control_plane_url=control_plane.url))


def test_traefik_accepts_it(file_of_traefik: str, tmp_path: Path) -> None:
    assert complaint_of_traefik(file_of_traefik, tmp_path) == ""


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("forwardAuth:", "forwardAuht:", "forwardAuht"),
        ("PathPrefix(`/acme", "PathPrefxi(`/acme", "PathPrefxi"),
        ("- stoa-decision", "- stoa-decison", "stoa-decison@file"),
    ],
)
def test_traefik_refuses_what_is_broken(
    file_of_traefik: str, right: str, wrong: str, complaint: str, tmp_path: Path
) -> None:
    assert right in file_of_traefik
    assert complaint in complaint_of_traefik(file_of_traefik.replace(right, wrong), tmp_path)


def complaint_of_traefik(text: str, folder: Path) -> str:
    """Return what Traefik logs as an error, which has no check but to run; "" once it routes by the file."""
    path = require_program("traefik")
    (folder / FILES["traefik"]).write_text(text)
    log = folder / "traefik.log"
    traefik = Proxy("traefik", free_port(0), folder)
    command = [*command_of("traefik", path, f"127.0.0.1:{traefik.port}"), f"--log.filePath={log}", "--log.level=ERROR"]
    process = subprocess.Popen(command, cwd=folder, env=os.environ | {"STOA_GATEWAY_TOKEN": TOKEN})
    try:
        await_port(process, traefik.port)
        wait_until(
            lambda: bool(log.read_text()) or traefik.call("/").content != NO_ROUTE,
            "Traefik takes the file or complains",
            seconds=START_SECONDS,
        )
        return log.read_text()
    finally:
        process.kill()
        process.wait(timeout=10)
