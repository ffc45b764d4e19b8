"""The user's choice wins, the rest has defaults, and secrets are made once."""

import os
import socket
from pathlib import Path

import pytest

from stoa_cp.devserver import session
from stoa_cp.devserver.banner import banner
from stoa_cp.devserver.environment import SECRETS, chosen_by_user, defaults_for, read, write


def test_secrets_are_made_once() -> None:
    first = defaults_for({}, {})
    assert defaults_for({}, first) == first
    assert all(len(first[name]) >= 16 for name in SECRETS)
    assert all(defaults_for({}, {})[name] != first[name] for name in SECRETS)


def test_what_the_user_chose_gets_no_default() -> None:
    defaults = defaults_for({"STOA_PORT": "9000", "STOA_SECRET_KEY": "mine", "STOA_EGRESS_ALLOW": ""}, {})
    assert not {"STOA_PORT", "STOA_SECRET_KEY", "STOA_EGRESS_ALLOW"} & defaults.keys()
    assert defaults["STOA_URL"] == "http://127.0.0.1:9000"
    assert defaults["STOA_OIDC_ISSUER"] == "http://127.0.0.1:9001/realms/stoa"


def test_an_address_that_is_listened_on_is_answered_too() -> None:
    every = defaults_for({"STOA_HOST": "0.0.0.0"}, {})  # noqa: S104 - nothing is bound
    assert every["STOA_URL"] == "http://127.0.0.1:8000"
    one = defaults_for({"STOA_HOST": "192.168.1.5"}, {})
    assert one["STOA_URL"] == "http://192.168.1.5:8000"
    assert "192.168.1.5" in one["STOA_ALLOWED_HOSTS"].split(",")


def test_a_local_receiver_works_without_further_ado() -> None:
    defaults = defaults_for({}, {})
    assert defaults["STOA_ALLOW_HTTP_WEBHOOKS"] == "true"
    assert defaults["STOA_EGRESS_ALLOW"] == "127.0.0.0/8"


def test_addresses_of_the_last_start_are_worked_out_anew() -> None:
    last = defaults_for({"STOA_PORT": "9000"}, {})
    assert defaults_for({}, last)["STOA_URL"] == "http://127.0.0.1:8000"


def test_what_the_settings_read_from_the_file_was_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("STOA_URL", "http://127.0.0.1:9000")
    monkeypatch.setenv("STOA_PORT", "7000")
    assert chosen_by_user({"STOA_URL": "http://127.0.0.1:9000"}) == {"STOA_PORT": "7000"}


def test_the_file_is_read_as_it_was_written_and_by_its_owner_alone(tmp_path: Path) -> None:
    defaults = defaults_for({}, {})
    write(tmp_path / "env", defaults)
    assert read(tmp_path / "env") == defaults
    assert (tmp_path / "env").stat().st_mode & 0o077 == 0
    assert read(tmp_path / "missing") == {}


def test_a_taken_port_is_refused_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LEFTOVER_SECONDS", 0)
    with socket.create_server(("127.0.0.1", 0)) as other:
        environment = {"STOA_PORT": str(other.getsockname()[1])}
        with pytest.raises(session.CannotStart, match=r"Port \d+ is taken by another program: set STOA_PORT"):
            session.check_ports(environment, own_issuer=False)


def test_the_banner_does_not_offer_an_issuer_that_is_not_ours() -> None:
    environment = defaults_for({}, {})
    assert environment["STOA_DEV_CLIENT_SECRET"] in banner(environment, own_issuer=True, ready_seconds=1)
    foreign = environment | {"STOA_OIDC_ISSUER": "https://auth.example.com/realms/stoa"}
    assert environment["STOA_DEV_CLIENT_SECRET"] not in banner(foreign, own_issuer=False, ready_seconds=1)
