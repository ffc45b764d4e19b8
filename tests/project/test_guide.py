"""The guide: served, printed, and right about the commands and files that it names."""

import re
import shlex
import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from celery.bin.celery import celery
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.core.management.base import BaseCommand
from django.test import Client
from granian.cli import cli as granian

from apikeys.gateway.exporters import FORMATS
from stoa_cp.guide import views
from stoa_cp.guide.markdown import render
from stoa_cp.guide.pages import Page, read_page, topics
from tests.answers import NOT_FOUND, refusal_of
from tests.project.documents import (
    CODE,
    DOCUMENTS,
    PAGES,
    ROOT,
    arguments_of,
    blocks,
    code_words,
    make_targets,
    rows,
    section,
)

# What a walk tells its reader to write.
WRITTEN_ON_THE_WAY = {"apikeys/gateway/exporters/krakend.py", "tests/subscriptions/test_copy.py"}
FIRST_FOLDERS = "stoa_cp|tenants|catalog|subscriptions|apikeys|metrics|webhooks|templates|tests"
FILE = re.compile(rf"(?:{FIRST_FOLDERS})/[\w./-]+")
every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)


def get(path: str, **headers: str) -> Any:
    # Without a database: a test that needs one says so.
    return Client().get(path, headers=headers)


def test_the_list_links_to_every_page() -> None:
    page = get("/guide/").content.decode()

    expected = (
        "audit",
        "backup",
        "change-something",
        "containers",
        "design-notes",
        "gateways",
        "hardening",
        "install",
        "production",
        "runbooks",
        "secrets",
        "threat-model",
        "troubleshooting",
        "watching",
    )
    assert topics() == expected
    assert all(f'href="/guide/{topic}"' in page for topic in topics())
    assert 'href="/guide/"' in get("/").content.decode()


@pytest.mark.parametrize("topic", topics())
def test_each_page_is_served_with_a_table_of_its_sections(topic: str) -> None:
    response = get(f"/guide/{topic}")
    page = response.content.decode()

    assert response.status_code == 200
    assert response["Cache-Control"] == "public, max-age=300"
    assert "script-src 'self'" in response["Content-Security-Policy"]
    sections = re.findall(r'<li><a href="#([^"]+)">', page)
    assert len(sections) >= 4
    assert [f'<h2 id="{anchor}">' in page for anchor in sections] == [True] * len(sections)


def test_the_guide_is_in_english_for_everybody() -> None:
    assert get("/guide/production", accept_language="fr")["Content-Language"] == "en"


@pytest.mark.parametrize("path", ["nothing", "page", "index", "production.md", "..%2fREADME", "%2e%2e/README"])
def test_another_topic_is_not_found(path: str) -> None:
    assert refusal_of(get(f"/guide/{path}")) == NOT_FOUND


def test_no_topic_is_a_path() -> None:
    for topic in ("../guide/production", "production.md", "./production", ""):
        with pytest.raises(KeyError):
            read_page(topic)


def test_a_page_is_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = get("/guide/production").content
    monkeypatch.setattr(views, "render", None)

    assert get("/guide/production").content == first


def test_html_in_a_page_is_text() -> None:
    page = render("# A\n\n<script>alert(1)</script> <b onclick='x'>\n\n[x](javascript:alert(1))").html

    assert "<script" not in page
    assert "<b" not in page
    assert "<a" not in page


def test_two_sections_of_one_name_have_two_anchors() -> None:
    document = render("# A\n\n## Why `x` is so\n\n## Why x is so\n")

    assert [(each.anchor, each.title) for each in document.sections] == [
        ("why-x-is-so", "Why x is so"),
        ("why-x-is-so-2", "Why x is so"),
    ]


def test_a_link_to_a_file_leads_to_its_page() -> None:
    assert '<a href="/guide/gateways#formats">' in render("[g](gateways.md#formats)").html
    assert '<a href="https://example.com/a.md">' in render("[g](https://example.com/a.md)").html


def test_the_title_is_the_first_line() -> None:
    assert Page("x", "# A title\n\nThe rest.\n").title == "A title"


def test_the_command_lists_and_prints() -> None:
    assert re.search(r"^production +Run it for real$", printed(), re.MULTILINE)
    assert printed("production") == (ROOT / "templates/guide/production.md").read_text()
    with pytest.raises(CommandError, match="invalid choice"):
        printed("nothing")


def printed(*topic: str) -> str:
    out = StringIO()
    call_command("guide", *topic, stdout=out)
    return out.getvalue()


@every_page
def test_each_link_leads_to_a_section(page: Path) -> None:
    for name, anchor in re.findall(r"\]\(([\w-]+)\.md(?:#([\w-]+))?\)", page.read_text()):
        assert name in topics()
        assert not anchor or anchor in {each.anchor for each in render(read_page(name).text).sections}


@every_document
def test_every_block_of_shell_is_shell(document: Path) -> None:
    for block in blocks(document.read_text(), "sh"):
        checked = subprocess.run(["bash", "-n"], input=block, check=False, capture_output=True, text=True)
        assert not checked.stderr, block


@every_document
def test_every_command_is_one_with_these_options(document: Path) -> None:
    text = document.read_text()
    for block in blocks(text, "sh"):
        for line in arguments_of("manage.py", block):
            name, *options = shlex.split(line)
            command_of(name).create_parser("manage.py", name).parse_args(options)
    for word in code_words(text):
        if word.startswith("manage.py "):
            name, *options = word.split()[1:]
            known = command_of(name).create_parser("manage.py", name).format_help()
            assert [option for option in options if option.startswith("--") and option not in known] == [], word


def command_of(name: str) -> BaseCommand:
    app = get_commands()[name]
    return load_command_class(app, name) if isinstance(app, str) else app


@every_document
def test_every_make_target_is_there(document: Path) -> None:
    text = document.read_text()
    lines = [line for block in blocks(text, "sh") for line in arguments_of("make", block)]
    lines += [word.removeprefix("make ") for word in code_words(text) if word.startswith("make ")]

    assert {line.split()[0] for line in lines} - make_targets() == set()


@every_document
def test_servers_and_workers_know_their_options(document: Path) -> None:
    for block in blocks(document.read_text(), "sh"):
        for line in arguments_of("granian", block):
            parse(granian, shlex.split(line))
        for line in arguments_of("celery", block):
            app, name, quiet, command, *options = shlex.split(line)
            assert (app, name, quiet) == ("-A", "stoa_cp", "--quiet")
            parse(celery.commands[command], options)


def parse(command: click.Command, arguments: list[str]) -> None:
    """Let click read the arguments without running anything. Raises click.UsageError."""
    command.make_parser(click.Context(command)).parse_args(arguments)


@every_document
def test_every_file_that_is_named_is_there(document: Path) -> None:
    text = document.read_text()
    named = {path.rstrip("/.") for path in FILE.findall(" ".join(code_words(text)))}
    missing = {path for path in named if not (ROOT / path).exists()}

    assert missing - WRITTEN_ON_THE_WAY == set()


@every_page
def test_every_block_of_yaml_is_yaml(page: Path) -> None:
    assert all(yaml.safe_load(block) for block in blocks(page.read_text(), "yaml"))


def test_the_table_of_formats_has_all_of_them() -> None:
    table = rows(section(read_page("gateways").text, "Formats"))

    assert {CODE.findall(row[0])[0] for row in table} == set(FORMATS)


def test_each_line_of_the_log_is_written_somewhere() -> None:
    table = rows(section(read_page("troubleshooting").text, "Lines of the log"))
    packages = ("stoa_cp", "tenants", "catalog", "subscriptions", "apikeys", "metrics", "webhooks")
    source = "".join(path.read_text() for package in packages for path in (ROOT / package).rglob("*.py"))

    assert [row[0] for row in table if f'"{row[0].strip("`")}"' not in source] == []


def test_each_walk_is_short() -> None:
    walks = re.split(r"^## .*$", read_page("change-something").text, flags=re.MULTILINE)[1:]
    lengths = [len(re.findall(r"^(?:\d+\.|  ) .*", walk, re.MULTILINE)) for walk in walks]

    assert len(lengths) == 4
    assert max(lengths) <= 10
