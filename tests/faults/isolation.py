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
    if os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("ip")):
        return Measured("needs root, unshare and ip for a network namespace", held=None)
    with tempfile.NamedTemporaryFile("w", prefix="resolv-") as names:
        names.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        names.flush()
        Path(names.name).chmod(0o644)
        command = ["unshare", "--net", "--mount", "sh", "-e", "-c", SCRIPT, "sh", names.name, sys.executable]
        environment = os.environ | {MARK: "yes"}
        done = subprocess.run(
            [*command, fault.number], cwd=ROOT, env=environment, stdout=subprocess.PIPE, timeout=SECONDS, check=False
        )
    if done.returncode:
        return Measured(f"no namespace, or no world inside it (exit {done.returncode})", held=None)
    return Measured(**json.loads(done.stdout))
