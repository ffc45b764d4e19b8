"""What each generated file holds, feature by format, and how we know: by the program itself, a parser, or not at all.

A new feature of the files is a row here. "Not possible" has the reason, which the guide's page on gateways repeats.
"""

import inspect
import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from apikeys.gateway.exporters import FORMATS
from apikeys.gateway.exporters.site import Site
from tests.gateways import test_control_plane_tls as tls
from tests.gateways import test_hostile_headers as headers
from tests.gateways import test_hostile_names as names
from tests.gateways import test_mode as mode
from tests.gateways import test_openresty as openresty
from tests.gateways import test_secrets_of_callers as secrets
from tests.gateways import test_slow_clients as slow
from tests.gateways.files import exported
from tests.gateways.proxies import FILES
from tests.programs import require_program

Test = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Run:
    """The program itself is run by ``test``."""

    test: Test


@dataclass(frozen=True, slots=True)
class Parsed:
    """The file, or a part of it, is read by ``test``."""

    test: Test


@dataclass(frozen=True, slots=True)
class Not:
    """The file does not hold it, for this reason."""

    reason: str


Cell = Run | Parsed | Not


def run_by(test: Test, **others: Cell) -> Mapping[str, Cell]:
    """Return a row whose cells are ``Run(test)`` but for ``others``."""
    return {program: others.get(program, Run(test)) for program in FORMATS}


def read_in_openresty(test: Test) -> Mapping[str, Cell]:
    """Return the cells of the two programs that are built on OpenResty."""
    return dict.fromkeys(("apisix", "kong"), Parsed(test))


DECIDES_ALONE = Not("Kong decides by itself and sends the control plane nothing.")
OWN_FILE = "It is set in the program's own configuration, which we do not write."


def test_no_file_opens_an_administration(site: Site, tmp_path: Path) -> None:
    (tmp_path / "Caddyfile").write_text(exported("caddy", site))
    command = [require_program("caddy"), "adapt", "--adapter", "caddyfile", "--config", "Caddyfile"]
    adapted = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=30)
    assert json.loads(adapted.stdout)["admin"] == {"disabled": True}
    assert "admin" not in yaml.safe_load(exported("envoy", site))
    assert "stats" not in exported("haproxy", site).split()
    assert "stub_status" not in exported("nginx", site)
    assert "@internal" not in exported("traefik", site)  # Traefik's name for its API and dashboard


TABLE: Mapping[str, Mapping[str, Cell]] = {
    "an upstream is no socket of the gateway's machine": run_by(
        names.test_nginx_takes_an_old_upstream_for_no_socket_and_no_group,
        **{
            program: Not("A host is always a TCP host to it; such upstreams are refused when an API is registered.")
            for program in FORMATS
            if program != "nginx"
        },
    ),
    "no administration is open": {
        program: Not(OWN_FILE) if program in ("apisix", "kong") else Parsed(test_no_file_opens_an_administration)
        for program in FORMATS
    },
    "the control plane's certificate is verified by name": run_by(
        tls.test_only_the_control_plane_itself_is_queried,
        apisix=Parsed(tls.test_without_a_file_the_public_authorities_are_trusted),
        kong=DECIDES_ALONE,
    ),
    "an upgrade is to websocket only": run_by(
        headers.test_a_connection_becomes_a_websocket_and_nothing_else,
        **read_in_openresty(openresty.test_only_a_websocket_is_passed_on),
    ),
    "Connection names no header of ours": run_by(
        headers.test_a_client_cannot_declare_our_headers_hop_by_hop,
        **read_in_openresty(openresty.test_only_a_websocket_is_passed_on),
    ),
    "a name with _ is no other header": run_by(
        headers.test_an_underscore_makes_no_other_header,
        **read_in_openresty(openresty.test_no_header_of_ours_comes_from_a_client),
    ),
    "names that people chose break no file": run_by(
        names.test_the_program_still_accepts_the_file,
        traefik=Run(names.test_traefik_still_accepts_the_file),
        apisix=Parsed(names.test_apisix_finds_one_end_and_one_variable),
        kong=Parsed(names.test_kong_finds_no_name_twice),
    ),
    "live or test is what the decision says": run_by(
        mode.test_the_mode_is_the_decisions,
        apisix=Parsed(mode.test_apisix_passes_the_mode_on),
        kong=DECIDES_ALONE,
    ),
    "the query stays between caller and upstream": run_by(
        secrets.test_a_query_is_the_upstreams_and_a_key_is_in_no_log,
        traefik=Not("ForwardAuth always sends it. The control plane neither reads nor logs it."),
        apisix=Parsed(openresty.test_apisix_sends_the_path_without_its_query),
        kong=DECIDES_ALONE,
    ),
    "no key is in a log": run_by(
        secrets.test_a_query_is_the_upstreams_and_a_key_is_in_no_log,
        apisix=Not(OWN_FILE),
        kong=Not(OWN_FILE),
    ),
    "headers that do not end are cut off": run_by(
        slow.test_who_stands_still_is_cut_off_and_who_is_slow_is_not,
        traefik=Not(OWN_FILE),
        apisix=Not(OWN_FILE),
        kong=Not(OWN_FILE),
    ),
    "a body that stands still is cut off, a long one is not": run_by(
        slow.test_who_stands_still_is_cut_off_and_who_is_slow_is_not,
        caddy=Not("Its only time limit is one for the whole body."),
        envoy=Not("Its stream_idle_timeout of 5 minutes holds, which is too long to test."),
        haproxy=Not("Its `timeout client` of 60 s holds, which is too long to test."),
        traefik=Not(OWN_FILE),
        apisix=Not(OWN_FILE),
        kong=Not(OWN_FILE),
    ),
}


def programs_of(test: Test) -> set[str]:
    """Return the programs that a test runs, by its parameters."""
    for mark in getattr(test, "pytestmark", []):
        if mark.name == "parametrize" and mark.args[0] in ("program", "edge"):
            return set(mark.args[1])
    if "edge" in inspect.signature(test).parameters:
        return set(FILES)
    return {program for program in FILES if program in test.__name__}


@pytest.mark.parametrize("feature", TABLE)
def test_every_format_has_an_answer(feature: str) -> None:
    row = TABLE[feature]
    assert tuple(row) == FORMATS
    for program, cell in row.items():
        if isinstance(cell, Run):
            assert program in programs_of(cell.test), program
        elif isinstance(cell, Not):
            assert cell.reason.endswith(".")
