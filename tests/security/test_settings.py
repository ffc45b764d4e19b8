"""A dangerous or misspelled setting ends every kind of process at its start, and is named."""

import os
import subprocess
import sys
from typing import Any

import pytest
from kombu import Connection
from psycopg.conninfo import conninfo_to_dict

from stoa_cp.checks import check_names, check_production
from stoa_cp.jobs.broker import broker_url, conninfo_of
from stoa_cp.settings.databases import databases
from stoa_cp.settings.environment import Environment

# The checks read the setting only: no connection is made from it.
pytestmark = pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")

RANDOM = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"
PEPPER = "pJ4c0vQm8xZr1tYb6nWk3sLd9fGh2aUe"
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
ZEROS = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
SAFE = {
    "STOA_ENV": "production",
    "STOA_SECRET_KEY": RANDOM,
    "STOA_KEY_PEPPERS": PEPPER,
    "STOA_ENCRYPTION_KEYS": KEY,
    "STOA_ALLOWED_HOSTS": "api.example.com",
    "STOA_OIDC_ISSUER": "https://idp.example.com/realms/stoa",
    "DATABASE_URL": "postgres://stoa:secret@127.0.0.1:5432/stoa",
}
PROCESSES = {
    "web": [sys.executable, "-c", "import stoa_cp.wsgi"],
    "server": [sys.executable, "manage.py", "serve", "--port", "1"],
    "worker": [sys.executable, "-m", "celery", "-A", "stoa_cp", "worker", "--pool", "threads"],
    "beat": [sys.executable, "-m", "celery", "-A", "stoa_cp", "beat", "--schedule", "/dev/null/none"],
    "command": [sys.executable, "manage.py", "check_chain"],
    "release": [sys.executable, "manage.py", "prepare"],
}
# Of the values of Django's settings, as the checks read them.
SAFE_VALUES = {
    "IS_PRODUCTION": True,
    "DEBUG": False,
    "SECRET_KEY": RANDOM,
    "SECRET_KEY_FALLBACKS": [],
    "STOA_KEY_PEPPERS": [PEPPER],
    "STOA_ENCRYPTION_KEYS": [KEY],
    "ALLOWED_HOSTS": ["api.example.com"],
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
    "STOA_OIDC_ISSUER": "https://idp.example.com/realms/stoa",
    "STOA_OIDC_JWKS_URL": "",
    "STOA_METRICS_TOKEN": [],
    "STOA_METRICS_ALLOW": [],
    "STOA_TRUSTED_PROXIES": [],
    "STOA_EGRESS_ALLOW": [],
    "STOA_BROKER_URL": "",
    "STOA_COUNTER_URL": "",
    "STOA_DATABASE_PLAINTEXT": False,
    "STOA_BROKER_PLAINTEXT": False,
    "DATABASES": {"default": {"HOST": "127.0.0.1", "OPTIONS": {}}},
}


def database(host: str, **parameters: str) -> dict[str, Any]:
    return {"DATABASES": {"default": {"HOST": host, "OPTIONS": parameters}}}


DANGEROUS: list[tuple[str, str, dict[str, Any]]] = [
    ("E001", "DEBUG", {"DEBUG": True}),
    ("E002", "STOA_SECRET_KEY", {"SECRET_KEY": "insecure-" + RANDOM}),
    ("E002", "STOA_SECRET_KEY", {"SECRET_KEY": "a"}),
    ("E002", "STOA_SECRET_KEY", {"SECRET_KEY": "0" * 64}),
    ("E002", "STOA_SECRET_KEY_FALLBACKS", {"SECRET_KEY_FALLBACKS": ["old"]}),
    ("E003", "STOA_KEY_PEPPERS", {"STOA_KEY_PEPPERS": []}),
    ("E003", "STOA_KEY_PEPPERS", {"STOA_KEY_PEPPERS": [PEPPER, "short"]}),
    ("E003", "STOA_KEY_PEPPERS", {"STOA_KEY_PEPPERS": ["p" * 32]}),
    ("E003", "STOA_KEY_PEPPERS", {"STOA_KEY_PEPPERS": ["insecure-" + PEPPER]}),
    ("E004", "STOA_ENCRYPTION_KEYS", {"STOA_ENCRYPTION_KEYS": []}),
    ("E004", "STOA_ENCRYPTION_KEYS", {"STOA_ENCRYPTION_KEYS": [ZEROS]}),
    ("E004", "STOA_ENCRYPTION_KEYS[1]", {"STOA_ENCRYPTION_KEYS": [KEY, "short"]}),
    ("E005", "STOA_ALLOWED_HOSTS", {"ALLOWED_HOSTS": ["api.example.com", "*"]}),
    ("E006", "cookies", {"SESSION_COOKIE_SECURE": False}),
    ("E006", "cookies", {"CSRF_COOKIE_SECURE": False}),
    ("E007", "STOA_OIDC_ISSUER", {"STOA_OIDC_ISSUER": "http://127.0.0.1:8001/realms/stoa"}),
    ("E008", "STOA_KEY_PEPPERS", {"STOA_KEY_PEPPERS": [PEPPER, PEPPER]}),
    ("E008", "STOA_ENCRYPTION_KEYS", {"STOA_ENCRYPTION_KEYS": [KEY, KEY]}),
    ("E008", "STOA_SECRET_KEY", {"STOA_KEY_PEPPERS": [RANDOM]}),
    ("E009", "STOA_OIDC_JWKS_URL", {"STOA_OIDC_JWKS_URL": "http://idp.example.com/jwks"}),
    ("E010", "STOA_EGRESS_ALLOW", {"STOA_EGRESS_ALLOW": ["0.0.0.0/0"]}),
    ("E010", "STOA_EGRESS_ALLOW", {"STOA_EGRESS_ALLOW": ["10.0.0.0/8", "128.0.0.0/1"]}),
    ("E010", "STOA_TRUSTED_PROXIES", {"STOA_TRUSTED_PROXIES": ["::/0"]}),
    ("E010", "STOA_METRICS_ALLOW", {"STOA_METRICS_ALLOW": ["0.0.0.0/0"]}),
    ("E011", "DATABASE_URL", database("db.example.com")),
    ("E011", "DATABASE_URL", database("db.example.com", sslmode="prefer")),
    ("E011", "DATABASE_URL", database("localhost,db.example.com")),
    ("E011", "DATABASE_REPLICA_URL", {"DATABASES": {"replica": {"HOST": "10.0.0.9", "OPTIONS": {}}}}),
    ("E011", "STOA_BROKER_URL", {"STOA_BROKER_URL": "redis://redis.example.com/0"}),
    ("E011", "STOA_BROKER_URL", {"STOA_BROKER_URL": "amqp://stoa:secret@rabbit.example.com//"}),
    ("E011", "STOA_BROKER_URL", {"STOA_BROKER_URL": "pgmq://stoa:secret@db.example.com/stoa?ssl_mode=allow"}),
    ("E011", "STOA_COUNTER_URL", {"STOA_COUNTER_URL": "redis://10.0.0.8/0"}),
    ("E012", "STOA_BROKER_URL", {"STOA_BROKER_URL": "amqp://guest:guest@127.0.0.1//"}),
    ("E012", "STOA_BROKER_URL", {"STOA_BROKER_URL": "amqps://rabbit.example.com//"}),
    ("E012", "STOA_BROKER_URL", {"STOA_BROKER_URL": "memory://"}),
    ("E013", "STOA_METRICS_TOKEN", {"STOA_METRICS_TOKEN": [RANDOM, "prometheus"]}),
]
HARMLESS: list[dict[str, Any]] = [
    {},
    {"SECRET_KEY_FALLBACKS": [RANDOM.upper()]},
    {"STOA_TRUSTED_PROXIES": ["10.0.0.0/8", "fc00::/7"]},
    {"STOA_OIDC_JWKS_URL": "https://idp.example.com/jwks"},
    database(""),
    database("/var/run/postgresql"),
    database("::1"),
    database("db.example.com", sslmode="verify-full"),
    database("db.example.com") | {"STOA_DATABASE_PLAINTEXT": True},
    {"STOA_BROKER_URL": "redis://127.0.0.1/0", "STOA_COUNTER_URL": "redis://localhost/1"},
    {"STOA_BROKER_URL": "amqps://stoa:secret@rabbit.example.com//", "STOA_COUNTER_URL": "rediss://redis.example.com"},
    {"STOA_BROKER_URL": "pgmq://stoa:secret@db.example.com/stoa?ssl_mode=require"},
    {"STOA_BROKER_URL": "redis://redis.example.com/0", "STOA_BROKER_PLAINTEXT": True},
]
# Refused in every environment, with the setting's name.
MISSPELLED = [
    ("STOA_ENV", "prod"),
    ("STOA_ENV", "Production"),
    ("STOA_ENV", ""),
    ("STOA_REQUIRE_SECOND_APPROVER", "ture"),
    ("STOA_TRUSTED_PROXIES", "banana"),
    ("STOA_EGRESS_ALLOW", "10.0.0.1/8"),
    ("STOA_PLATFORM_RATE_LIMIT", "1e6"),
    ("STOA_WEBHOOK_THREADS", "0"),
    ("STOA_DELIVERIES_PER_TENANT", "0"),
    ("STOA_DELIVERY_RETENTION_DAYS", "10"),
    ("STOA_PORT", "tcp://10.0.0.1:80"),
    ("STOA_OIDC_ISSUER", "file:///etc/issuer"),
    ("STOA_OIDC_JWKS_URL", "file:///etc/jwks.json"),
    ("STOA_OIDC_ALGORITHMS", "RS256,none"),
    ("STOA_LANGUAGE", "de"),
    ("STOA_SECURITY_CONTACT", "security@example.com"),
    ("STOA_SECURITY_CONTACT", "mailto:security@example.com\nExpires: never"),
    ("STOA_RETENTION_DAYS", "minute=x"),
    ("STOA_RETENTION_DAYS", "second=3"),
    ("DATABASE_URL", "mysql://stoa@127.0.0.1/stoa"),
    ("DATABASE_URL", "postgres://stoa@127.0.0.1/stoa?options=-c+lock_timeout%3D0"),
]


def start(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program that should end at its start, with nothing in its environment but ``environment``."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("STOA_")}
    surroundings |= {"DJANGO_SETTINGS_MODULE": "stoa_cp.settings", "STOA_DATA_DIR": "/dev/null"}
    return subprocess.run(
        command, env=surroundings | environment, check=False, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def production(settings: Any) -> Any:
    for name, value in SAFE_VALUES.items():
        setattr(settings, name, value)
    return settings


@pytest.mark.parametrize("changes", HARMLESS)
def test_a_safe_configuration_is_accepted(production: Any, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(production, name, value)
    assert check_production() == []


@pytest.mark.parametrize(("number", "named", "fault"), DANGEROUS)
def test_a_dangerous_configuration_is_named(production: Any, number: str, named: str, fault: dict[str, Any]) -> None:
    for name, value in fault.items():
        setattr(production, name, value)
    errors = check_production()
    assert [error.id for error in errors] == [f"stoa_cp.{number}"]
    assert named in errors[0].msg


def test_development_may_do_as_it_likes(production: Any) -> None:
    production.IS_PRODUCTION = False
    production.DEBUG = True
    assert check_production() == []


@pytest.mark.parametrize("process", PROCESSES)
def test_no_process_starts_without_secrets(process: str) -> None:
    ended = start(PROCESSES[process], STOA_ENV="production")
    assert ended.returncode not in (0, None)
    for name in ("STOA_SECRET_KEY", "STOA_KEY_PEPPERS", "STOA_ENCRYPTION_KEYS", "STOA_OIDC_ISSUER"):
        assert name in ended.stderr, process


@pytest.mark.parametrize(
    ("process", "name", "value"),
    [
        ("web", "STOA_ENV", "prod"),
        ("server", "STOA_EGRESS_ALLOW", "0.0.0.0/0"),
        ("worker", "STOA_EGRESS_ALLOW", "0.0.0.0/0"),
        ("beat", "STOA_REQUIRE_SECOND_APPROVER", "ture"),
    ],
)
def test_each_process_reads_its_settings_with_the_same_care(process: str, name: str, value: str) -> None:
    ended = start(PROCESSES[process], **SAFE | {name: value})
    assert ended.returncode not in (0, None)
    assert name in ended.stderr.splitlines()[-1] or f"{name} has {value}" in ended.stderr
    assert RANDOM not in ended.stderr + ended.stdout


@pytest.mark.parametrize(("name", "value"), MISSPELLED)
def test_a_value_of_another_type_is_refused_everywhere(name: str, value: str) -> None:
    ended = start([sys.executable, "-c", "import stoa_cp.settings"], **{name: value})
    assert ended.returncode == 1
    assert f"ImproperlyConfigured: {name} " in ended.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("True", True), ("1", True), ("on", True), ("false", False), ("0", False), ("no", False)],
)
def test_booleans_have_two_spellings_and_more(monkeypatch: pytest.MonkeyPatch, text: str, *, expected: bool) -> None:
    monkeypatch.setenv("STOA_X", text)
    assert Environment().flag("STOA_X", default=not expected) is expected


def test_lists_may_have_blanks_around_their_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOA_X", "10.0.0.0/8, 192.168.0.0/16,")
    assert Environment().networks("STOA_X") == ["10.0.0.0/8", "192.168.0.0/16"]
    monkeypatch.setenv("STOA_X", "")
    assert Environment().items("STOA_X", ["default"]) == []


def test_a_secret_is_taken_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOA_X", "$HOME, b")
    assert Environment().secrets("STOA_X") == ["$HOME", " b"]
    assert Environment().text("STOA_X") == "$HOME, b"


def test_the_documented_form_of_the_retention_is_read() -> None:
    code = "from stoa_cp.settings import STOA_RETENTION_DAYS as days; print(days)"
    ended = start([sys.executable, "-c", code], STOA_RETENTION_DAYS="minute=3,hour=30")
    assert ended.stdout.strip() == "{'minute': 3, 'hour': 30, 'day': 0}", ended.stderr


def test_a_setting_that_nothing_reads_is_a_warning_with_its_likely_name(settings: Any) -> None:
    ended = start(
        [sys.executable, "manage.py", "check", "--tag", "security"], STOA_REQUIRE_SECOND_APROVER="true", STOA_TEST_X="1"
    )
    assert ended.returncode == 0
    assert "STOA_REQUIRE_SECOND_APROVER is no setting." in ended.stderr
    assert "Is STOA_REQUIRE_SECOND_APPROVER meant?" in ended.stderr
    assert "STOA_TEST_X" not in ended.stderr
    settings.STOA_UNKNOWN_VARIABLES = {"STOA_SERVICE_HOST": ""}
    assert [warning.hint for warning in check_names()] == [None]


def test_the_parameters_of_a_database_url_reach_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://stoa@db.example.com/stoa?sslmode=verify-full&sslrootcert=/a%20b.pem")
    monkeypatch.setenv("DATABASE_REPLICA_URL", "postgres://stoa@replica.example.com/stoa?sslmode=require")
    found = databases(Environment(), is_pooled=False)

    assert found["default"]["OPTIONS"]["sslmode"] == "verify-full"
    assert found["replica"]["OPTIONS"]["sslmode"] == "require"
    assert all("statement_timeout" in entry["OPTIONS"]["options"] for entry in found.values())

    assert Connection(broker_url("", found["default"])).virtual_host == "stoa"
    queue = conninfo_to_dict(conninfo_of(found["default"]))
    assert (queue["sslmode"], queue["sslrootcert"]) == ("verify-full", "/a b.pem")


def test_of_several_hosts_the_queue_has_all(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgres://stoa@db-1.example.com:5432,db-2.example.com:5433/stoa?target_session_attrs=read-write"
    monkeypatch.setenv("DATABASE_URL", url)
    found = databases(Environment(), is_pooled=False)["default"]

    assert Connection(broker_url("", found)).virtual_host == "stoa"
    queue = conninfo_to_dict(conninfo_of(found))
    assert (queue["host"], queue["port"]) == ("db-1.example.com,db-2.example.com", "5432,5433")
    assert queue["target_session_attrs"] == "read-write"
