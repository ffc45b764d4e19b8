"""The Dockerfile: linted, and as safe as the guide says."""

import re
import subprocess

import pytest

from tests.house.source import packages
from tests.production.images import DOCKERFILE, instructions, stages
from tests.programs import require_program
from tests.project.documents import ROOT, arguments_of, blocks

TEXT = DOCKERFILE.read_text()
EXACT = re.compile(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*")


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([require_program("hadolint"), str(DOCKERFILE)], check=False, capture_output=True, text=True)

    assert not done.returncode, done.stdout


def test_each_base_image_has_an_exact_tag() -> None:
    bases = {each.arguments[0] for each in instructions() if each.name == "FROM"}

    assert [base for base in bases if not EXACT.fullmatch(base)] == []


def test_what_is_installed_is_in_the_lock_file() -> None:
    (install,) = (each.text for each in instructions() if " pip install" in each.text)

    assert "--require-hashes" in install
    assert "--requirement requirements.lock" in install
    # The package index is the builder's own choice.
    assert not re.search(
        r"https?://|--(extra-)?index-url|--trusted-host|--find-links", TEXT.replace("http://127.0", "")
    )


@pytest.mark.parametrize("stage", ["service", "keycloak"])
def test_no_image_runs_as_root(stage: str) -> None:
    users = [each.text for each in stages()[stage] if each.name == "USER"]

    assert users
    assert users[-1].partition(":")[0].isdigit()
    assert int(users[-1].partition(":")[0]) >= 1000


def test_the_whole_product_is_copied_and_nothing_else() -> None:
    copied = {source for each in stages()["install"] if each.name == "COPY" for source in each.arguments[:-1]}

    assert copied == {"requirements.lock", "manage.py", "templates", *packages(ROOT)}


def test_the_server_is_started_as_the_guide_says() -> None:
    (command,) = (each.arguments for each in stages()["service"] if each.name == "CMD")
    text = (ROOT / "templates/guide/production.md").read_text()
    lines = (line for block in blocks(text, "sh") for line in arguments_of("manage.py", block))
    (guide,) = (line.split() for line in lines if line.startswith("serve"))

    assert command[:3] == ["python", "manage.py", "serve"]
    assert set(guide) - set(command) == set()
