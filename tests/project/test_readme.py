"""What the README says of folders, tests, settings and commands is so."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import get_commands

from stoa_cp.settings.environment import READ_ELSEWHERE, env
from tests.project.documents import CODE, README, ROOT, code_words, make_targets, rows, section

TEXT = README.read_text()
APPS = ("tenants", "catalog", "subscriptions", "apikeys", "metrics", "webhooks")
PRODUCT = ("stoa_cp", *APPS)
# Packages that Django prescribes, and files of every app that have grown into a package, need no line of their own.
CONVENTIONAL = {"management", "commands", "migrations", "templatetags", "services"}
VARIABLE = re.compile(r'"(STOA_[A-Z_]+|DATABASE_[A-Z_]+|PROMETHEUS_[A-Z_]+|OTEL_[A-Z_]+)"')


def sources() -> Iterator[Path]:
    for package in PRODUCT:
        yield from (ROOT / package).rglob("*.py")


def first_codes(title: str, column: int = 0) -> list[str]:
    """Return what stands between backticks in a column of a section's table."""
    return [word for row in rows(section(TEXT, title)) for word in CODE.findall(row[column])]


def test_it_can_be_read_in_one_sitting() -> None:
    assert len(TEXT.splitlines()) <= 450


def test_the_map_has_every_package() -> None:
    packages = {path.parent.relative_to(ROOT) for path in sources() if path.name == "__init__.py"}
    expected = {f"{package}/" for package in packages if not CONVENTIONAL & set(package.parts)}

    assert expected - set(first_codes("The map")) == set()


def test_everything_on_the_map_is_there() -> None:
    assert [folder for folder in first_codes("The map") if not (ROOT / folder).is_dir()] == []


def test_it_says_of_every_table_how_long_its_rows_are_kept() -> None:
    ours = {model.__name__ for app in ("stoa_cp", *APPS) for model in apps.get_app_config(app).get_models()}
    named = [word for word in first_codes("What is kept how long") if word[0].isupper()]

    assert sorted(named) == sorted(ours)


def test_the_contract_of_the_kernel_has_every_package_of_it() -> None:
    contracts = (ROOT / "pyproject.toml").read_text()
    kernel = {path.parent.name for path in (ROOT / "stoa_cp").glob("*/__init__.py")}
    ring = {"settings", "migrations", "templatetags"}

    assert [name for name in sorted(kernel - ring) if f'"stoa_cp.{name}"' not in contracts] == []


def test_each_promise_names_a_test_that_is_there() -> None:
    for promise, tests in rows(section(TEXT, "What the API promises")):
        paths = [word for word in CODE.findall(tests) if word.startswith("tests/")]
        assert paths, promise
        assert all((ROOT / path).exists() for path in paths), tests


def test_the_settings_are_those_that_are_read() -> None:
    read = {name for path in sources() for name in VARIABLE.findall(path.read_text())}
    names = first_codes("Settings")

    assert len(names) == len(set(names))
    assert set(names) == read


def test_no_setting_of_the_table_is_warned_of() -> None:
    names = {name for name in first_codes("Settings") if name.startswith("STOA_")}

    assert names - env.names - READ_ELSEWHERE == set()


def test_every_make_target_is_there() -> None:
    named = {word.split()[1] for word in code_words(TEXT) if word.startswith("make ")}

    assert named
    assert named - make_targets() == set()


def test_every_command_is_there() -> None:
    lines = [row[0] for row in rows(section(TEXT, "Commands")) if "manage.py" in row[0]]
    named = [word.removeprefix("manage.py ").split()[0] for line in lines for word in CODE.findall(line)]

    assert len(named) == len(set(named))
    assert set(named) - set(get_commands()) == set()


def test_every_command_of_ours_but_helpers_of_make_is_in_the_table() -> None:
    table = section(TEXT, "Commands")
    ours = {path.stem for path in sources() if path.parent.name == "commands" and path.stem != "__init__"}
    behind_make = {"up", "openapi", "prepare_broker"}

    assert [name for name in sorted(ours - behind_make) if not re.search(rf"\b{name}\b", table)] == []


def test_the_glossary_is_short_and_in_order() -> None:
    words = [word for word, _meaning in rows(section(TEXT, "Glossary"))]

    assert len(words) <= 30
    assert words == sorted(words)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", TEXT))
def test_every_link_leads_to_a_file(link: str) -> None:
    assert (ROOT / link).is_file()
