"""Finds the programs that some tests drive; whether one may be missing is the environment's decision."""

import os
import shutil

import pytest


def require_program(name: str) -> str:
    """Return the path of a program; skip the test without it, or fail if ``STOA_TEST_REQUIRE`` names it."""
    path = shutil.which(name)
    if path is None:
        reason = f"{name} is not installed"
        if name in os.environ.get("STOA_TEST_REQUIRE", "").split(","):
            pytest.fail(reason)
        pytest.skip(reason)
    return path
