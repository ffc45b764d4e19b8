"""TypeScript types generated from the document: a program that compiles works, and a wrong value does not compile."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stoa_cp.openapi.views import OPENAPI_PATH
from tests.programs import require_program

Tool = Callable[..., subprocess.CompletedProcess[str]]
STRICT = ("--strict", "--exactOptionalPropertyTypes", "--target", "es2022", "--module", "commonjs")
TYPES = ("--types", "node")


@pytest.fixture
def types(typescript_folder: Path, tool: Tool) -> Path:
    """The folder, with the generated types in it."""
    generated = tool("openapi-typescript", OPENAPI_PATH, "--output", "schema.d.ts")
    assert generated.returncode == 0, generated.stderr
    return typescript_folder


def test_the_main_flow_compiles_and_works(types: Path, tool: Tool, live_server: Any, token: str) -> None:
    compiled = tool("tsc", *STRICT, *TYPES, "flow.ts")
    assert compiled.returncode == 0, compiled.stdout

    command = [require_program("node"), "flow.js", live_server.url, token]
    ran = subprocess.run(command, cwd=types, check=False, capture_output=True, text=True, timeout=30)
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert answer["status"] == "active"
    assert answer["key"].startswith("stoa_live_")
    assert answer["description"] == ""


# What is written wrong, and what the compiler says of it.
MISTAKES = {
    "value": ('tier: "starter"', 'tier: "gold"', '"gold"\' is not assignable'),
    "unknown": ('region: "us-east-1"', 'region: "us-east-1", colour: "red"', "'colour' does not exist"),
    "missing": ('name: "umbrella",', "", "'name' is missing"),
    "type": ("quota: null", 'quota: "many"', "'string' is not assignable"),
    "answer": ("approved.status", "approved.state", "'state' does not exist"),
    "path": ('"/v1/tenants">', '"/v1/tenantz">', "not assignable"),
}


def test_a_mistake_is_a_compile_error(types: Path, tool: Tool) -> None:
    program = (types / "flow.ts").read_text()
    for name, (right, wrong, _complaint) in MISTAKES.items():
        assert right in program
        (types / f"{name}.ts").write_text(program.replace(right, wrong, 1))

    compiled = tool("tsc", *STRICT, *TYPES, "--noEmit", *(f"{name}.ts" for name in MISTAKES))

    errors = compiled.stdout.splitlines()
    for name, (_right, _wrong, complaint) in MISTAKES.items():
        assert any(error.startswith(f"{name}.ts(") and complaint in error for error in errors), compiled.stdout


def test_the_linter_has_nothing_to_say(typescript_folder: Path, tool: Tool) -> None:
    linted = tool("redocly", "lint", OPENAPI_PATH, "--format", "json")

    totals = json.loads(linted.stdout)["totals"]
    assert (totals["errors"], totals["warnings"]) == (0, 0), linted.stdout
