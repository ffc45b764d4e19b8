"""``manage.py new_secrets`` prints an environment file with which production starts."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping

from stoa_cp.crypto.new_secrets import MAKERS
from tests.faults.processes import ROOT
from tests.security.installation import manage

PLAIN = {"PATH": "/usr/bin:/bin", "STOA_DATA_DIR": "/nonexistent"}
SECRETS = [*MAKERS, "STOA_METRICS_TOKEN", "STOA_OIDC_CLIENT_SECRET", "STOA_RUNTIME_PASSWORD"]


def new_environment() -> tuple[str, dict[str, str]]:
    printed = manage(PLAIN, "new_secrets")
    assert printed.returncode == 0, printed.stderr
    lines = [line for line in printed.stdout.splitlines() if line and not line.startswith("#")]
    return printed.stdout, dict(line.split("=", 1) for line in lines)


def test_production_accepts_it() -> None:
    _text, environment = new_environment()
    checked = manage(PLAIN | environment, "check", "--deploy", "--fail-level", "WARNING")

    assert checked.returncode == 0, checked.stderr


def test_each_secret_is_new_and_none_is_there_twice() -> None:
    _text, first = new_environment()
    _text, second = new_environment()
    values = [environment[name] for environment in (first, second) for name in SECRETS]

    assert len(set(values)) == len(values)


def test_a_shell_reads_it_as_it_is() -> None:
    text, environment = new_environment()
    script = f"set -a\n{text}\n{sys.executable} -c 'import os, json; print(json.dumps(dict(os.environ)))'"
    read: Mapping[str, str] = json.loads(
        subprocess.run(["sh", "-c", script], check=True, capture_output=True, cwd=ROOT).stdout
    )

    assert {name: read[name] for name in environment} == environment
    assert not re.search(r"[\s'\"$`\\]", "".join(environment.values()))
