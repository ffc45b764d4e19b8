"""A database server whose machine vanishes: no packet says so, and a connection would wait for a quarter of an hour."""

import os
import subprocess
import sys

import pytest

from tests.faults import isolation
from tests.faults.processes import ROOT

# 10 s, and what a loaded machine takes. The kernel's own limit is about 15 minutes.
SECONDS = 25.0


@pytest.mark.deadline
def test_it_is_given_up_within_seconds() -> None:
    if not isolation.is_allowed():
        pytest.skip("needs root, unshare and ip for a network namespace")
    done = subprocess.run(
        [*isolation.UNSHARE, sys.executable, "-m", "tests.kernel.db.vanishing"],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "stoa_cp.settings"},
        check=False,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    assert all(float(seconds) < SECONDS for seconds in done.stdout.split()), done.stdout
    assert len(done.stdout.split()) == 2
