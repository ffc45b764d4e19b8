"""Finds the programs that some tests drive. STOA_TEST_REQUIRE decides which of them must not be missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

INSTALL_SECONDS = 120


def require_program(name: str) -> str:
    """Return the path of a program; skip the test without it, or fail if ``STOA_TEST_REQUIRE`` names it.

    Some are Python packages, and stand beside the interpreter.
    """
    beside = Path(sys.executable).parent
    return shutil.which(name) or shutil.which(name, path=beside) or do_without(name, f"{name} is not installed")


def do_without(name: str, reason: str) -> NoReturn:
    """Skip the test, or fail it if ``STOA_TEST_REQUIRE`` names the program."""
    if name in os.environ.get("STOA_TEST_REQUIRE", "").split(","):
        pytest.fail(reason)
    pytest.skip(reason)


def install_npm_packages(source: Path, target: Path) -> None:
    """Copy a folder with a package.json and install what its lock file names. Skips the test if npm gets none."""
    npm = require_program("npm")
    shutil.copytree(source, target, dirs_exist_ok=True)
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    installed = subprocess.run(
        command, cwd=target, check=False, capture_output=True, text=True, timeout=INSTALL_SECONDS
    )
    if installed.returncode:
        do_without("npm", f"npm cannot install the packages: {installed.stderr.strip()[:200]}")
