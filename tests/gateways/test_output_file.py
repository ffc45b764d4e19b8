"""manage.py gateway_config --output: the file holds the gateway's token, so only its owner may read it."""

import stat
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.gateways.conftest import TOKEN

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOA_GATEWAY_TOKEN", TOKEN)


def write(path: Path) -> str:
    out = StringIO()
    call_command("gateway_config", "--output", path, stdout=out)
    return out.getvalue()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_file_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    assert write(path) == ""
    assert TOKEN in path.read_text()
    assert mode_of(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text("old")
    path.chmod(0o644)
    with path.open() as opened_before:
        write(path)
        assert opened_before.read() == "old"  # who has it open does not get the token
    assert mode_of(path) == 0o600
    assert TOKEN in path.read_text()


def test_a_fault_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.mkdir()  # which a file cannot replace
    with pytest.raises(CommandError, match="cannot be written"):
        write(path)
    with pytest.raises(CommandError, match="cannot be written"):
        write(tmp_path / "missing" / "nginx.conf")
    assert list(tmp_path.iterdir()) == [path]
