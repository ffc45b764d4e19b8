"""A server that generated clients talk to, and the tools that generate and compile them."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.realm import PEOPLE, access_claims
from tests.programs import install_npm_packages

TYPESCRIPT = Path(__file__).parent / "typescript"


@pytest.fixture
def token(realm: Grants) -> str:
    """A token of the platform's operator."""
    return realm.key.sign(access_claims(PEOPLE["olga"], realm.issuer))


@pytest.fixture(scope="session")
def typescript_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the locked npm packages and the TypeScript program. Skips where npm gets no packages."""
    folder = tmp_path_factory.mktemp("typescript")
    install_npm_packages(TYPESCRIPT, folder)
    return folder


@pytest.fixture
def tool(typescript_folder: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return how to run one of the installed programs in that folder."""

    def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [typescript_folder / "node_modules" / ".bin" / name, *map(str, arguments)]
        quiet = os.environ | {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
        return subprocess.run(command, cwd=typescript_folder, env=quiet, check=False, capture_output=True, text=True)

    return run
