"""What is settled before a web process answers anybody."""

import os
import subprocess
import sys
from typing import Any

import pytest

from stoa_cp.checks import check_production

SAFE = {
    "IS_PRODUCTION": True,
    "DEBUG": False,
    "SECRET_KEY": "k" * 50,
    "STOA_KEY_PEPPERS": ["p" * 32],
    "STOA_ENCRYPTION_KEYS": ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="],
    "ALLOWED_HOSTS": ["api.example.com"],
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
    "STOA_OIDC_ISSUER": "https://idp.example.com/realms/stoa",
}
DANGEROUS = [
    ("E001", {"DEBUG": True}),
    ("E002", {"SECRET_KEY": "insecure-0123"}),
    ("E003", {"STOA_KEY_PEPPERS": ["p" * 32, "short"]}),
    ("E003", {"STOA_KEY_PEPPERS": ["insecure-" + "p" * 32]}),
    ("E004", {"STOA_ENCRYPTION_KEYS": []}),
    ("E005", {"ALLOWED_HOSTS": ["api.example.com", "*"]}),
    ("E006", {"SESSION_COOKIE_SECURE": False}),
    ("E006", {"CSRF_COOKIE_SECURE": False}),
    ("E007", {"STOA_OIDC_ISSUER": "http://127.0.0.1:8001/realms/stoa"}),
]


@pytest.fixture
def production(settings: Any) -> Any:
    for name, value in SAFE.items():
        setattr(settings, name, value)
    return settings


def start(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own."""
    surroundings = os.environ | {"DJANGO_SETTINGS_MODULE": "stoa_cp.settings"} | environment
    return subprocess.run(
        [sys.executable, "-c", code], env=surroundings, check=False, capture_output=True, text=True, timeout=60
    )


def test_a_safe_configuration_is_accepted(production: Any) -> None:
    assert check_production() == []


@pytest.mark.parametrize(("number", "fault"), DANGEROUS)
def test_a_dangerous_configuration_is_named(production: Any, number: str, fault: dict[str, Any]) -> None:
    for name, value in fault.items():
        setattr(production, name, value)
    assert [error.id for error in check_production()] == [f"stoa_cp.{number}"]


def test_development_may_do_as_it_likes(settings: Any) -> None:
    settings.IS_PRODUCTION = False
    settings.DEBUG = True
    assert check_production() == []


def test_a_dangerous_web_process_does_not_start() -> None:
    ended = start("import stoa_cp.wsgi", STOA_ENV="production", STOA_OIDC_ISSUER="http://127.0.0.1:8001/realms/stoa")
    assert ended.returncode != 0
    assert "stoa_cp.E007" in ended.stderr


def test_a_web_process_loads_its_views_before_the_first_call() -> None:
    ended = start("import sys, stoa_cp.wsgi; print('apikeys.gateway.views' in sys.modules)")
    assert ended.stdout.split()[-1:] == ["True"], ended.stderr
