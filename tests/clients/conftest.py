"""A server that generated clients talk to, and the tools that generate and compile them."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.realm import PEOPLE, access_claims
from tests.programs import require_program

TYPESCRIPT = Path(__file__).parent / "typescript"
INSTALL_SECONDS = 120


@pytest.fixture
def token(realm: Grants) -> str:
    """A token of the platform's operator."""
    return realm.key.sign(access_claims(PEOPLE["olga"], realm.issuer))


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the locked npm packages and the TypeScript program. Skips where npm gets no packages."""
    npm = require_program("npm")
    folder = tmp_path_factory.mktemp("typescript")
    for name in ("package.json", "package-lock.json", "flow.ts"):
        shutil.copy(TYPESCRIPT / name, folder)
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    installed = subprocess.run(
        command, cwd=folder, check=False, capture_output=True, text=True, timeout=INSTALL_SECONDS
    )
    if installed.returncode and "npm" in os.environ.get("STOA_TEST_REQUIRE", "").split(","):
        pytest.fail(installed.stderr)
    if installed.returncode:
        pytest.skip(f"npm cannot install the packages: {installed.stderr.strip()[:200]}")
    return folder


@pytest.fixture
def tool(workshop: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return how to run one of the installed programs in the workshop."""

    def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [workshop / "node_modules" / ".bin" / name, *map(str, arguments)]
        quiet = os.environ | {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
        return subprocess.run(command, cwd=workshop, env=quiet, check=False, capture_output=True, text=True)

    return run
