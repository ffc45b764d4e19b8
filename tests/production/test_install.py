"""The guide's page "install" says what the other pages say; `make production` follows it line by line."""

import re
import shlex

import pytest

from stoa_cp.guide.pages import read_page
from stoa_cp.settings.environment import env
from tests.production.compose import read_document, required_variables, services
from tests.production.images import stages
from tests.project.documents import arguments_of, blocks

TEXT = read_page("install").text
UNITS = dict(re.findall(r"systemd/system/([\w@.-]+) <<'EOF'\n(.*?)^EOF$", TEXT, re.MULTILINE | re.DOTALL))
COMPOSE = services(read_document(dict.fromkeys(required_variables(), "a-value")))


def command_of(unit: str) -> list[str]:
    (line,) = re.findall(r"^ExecStart=/opt/stoa/current/.venv/bin/(.*)$", UNITS[unit], re.MULTILINE)
    return shlex.split(str(line))


def test_the_web_server_has_the_options_of_the_image() -> None:
    (image,) = (each.arguments for each in stages()["service"] if each.name == "CMD")
    own = {"0.0.0.0", "8000", "127.0.0.1", "%i"}  # noqa: S104 - only compared

    assert set(command_of("stoa-web@.service")) - own == set(image) - own


@pytest.mark.parametrize(("unit", "service"), [("stoa-worker@.service", "worker"), ("stoa-beat.service", "beat")])
def test_workers_and_beat_have_the_options_of_compose(unit: str, service: str) -> None:
    assert command_of(unit) == COMPOSE[service].values["command"]


def test_each_process_is_hardened() -> None:
    for unit in UNITS.values():
        for line in (
            "User=stoa",
            "NoNewPrivileges=true",
            "CapabilityBoundingSet=",
            "ProtectSystem=strict",
            "Restart=always",
        ):
            assert f"\n{line}\n" in unit


def test_each_line_of_the_environment_is_a_setting() -> None:
    written = set(re.findall(r"^(STOA_\w+|DATABASE_\w+)=", TEXT.partition("stoa.env <<EOF")[2], re.MULTILINE))

    assert len(written) == 3
    assert written - env.names == set()


def test_both_releases_are_installed_in_the_same_way() -> None:
    programs = [block for block in blocks(TEXT, "sh") if "requirements.lock" in block]
    (first, second) = (list(arguments_of(".venv/bin/python", block)) for block in programs)

    assert first == [line for line in second if not line.startswith("manage.py")]
