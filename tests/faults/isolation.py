"""Runs a row in network and mount namespaces of its own, where every address and every name is ours to give."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.faults.matrix import Fault, Measured
from tests.faults.processes import ROOT

METADATA = "169.254.169.254"
PUBLIC = "192.0.1.1"  # an address that we may deliver to; inside the namespace it is this machine
MARK = "STOA_FAULTS_ISOLATED"
SECONDS = 120
UNSHARE = ("unshare", "--net", "--mount")

# The name server of these namespaces is on loopback: a row starts it.
SCRIPT = f"""
ip link set lo up
ip address add {METADATA}/32 dev lo
ip address add {PUBLIC}/32 dev lo
mount --bind "$1" /etc/resolv.conf
exec "$2" -m tests.faults.apart "$3"
"""


def is_isolated() -> bool:
    """Tell whether this process runs in such namespaces."""
    return MARK in os.environ


def run_apart(fault: Fault) -> Measured:
    """Run one row in a world of its own inside new namespaces, if this machine lets us make them."""
    if not is_allowed():
        return Measured("needs root, unshare and ip for a network namespace", held=None)
    with tempfile.NamedTemporaryFile("w", prefix="resolv-") as names:
        names.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        names.flush()
        Path(names.name).chmod(0o644)
        command = [*UNSHARE, "sh", "-e", "-c", SCRIPT, "sh", names.name, sys.executable, fault.number]
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {MARK: "yes"}, stdout=subprocess.PIPE, timeout=SECONDS, check=False
        )
    if done.returncode:
        return Measured(f"the world inside the namespace ended with {done.returncode}", held=False)
    return Measured(**json.loads(done.stdout))


def is_allowed() -> bool:
    """Tell whether this machine lets us make such namespaces."""
    if os.geteuid() != 0 or not all(shutil.which(program) for program in ("unshare", "ip", "mount")):
        return False
    return subprocess.run([*UNSHARE, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
