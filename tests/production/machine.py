"""A machine for one run: network, mounts and processes of its own, so that names, ports and folders are free."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.names import NameServer

# Two steps: mounts alone, where the network of this machine is still there to download from; then all the rest.
MOUNTS, MACHINE = "mounts", "machine"
STEP, FOLDER = "STOA_TEST_MACHINE_STEP", "STOA_TEST_MACHINE_FOLDER"
UNSHARE = {
    MOUNTS: ["unshare", "--mount"],
    MACHINE: ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"],
}
PROGRAMS = ("unshare", "nsenter", "setpriv", "ip", "mount")
# The address that every name has. compose.yaml gives it to nginx, whose X-Forwarded-For web processes trust.
ADDRESS = "172.30.0.10"
DOCKERS_NAME_SERVER = "127.0.0.11"


def step() -> str:
    return os.environ.get(STEP, "")


def folder() -> Path:
    return Path(os.environ[FOLDER])


def is_allowed() -> bool:
    """Tell whether this account may make such namespaces."""
    if os.geteuid() != 0 or not all(shutil.which(program) for program in PROGRAMS):
        return False
    return subprocess.run([*UNSHARE[MACHINE], "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0


def enter(wanted: str, subject: str, folder: Path) -> int:
    """Run ``python -m tests.production SUBJECT`` again in a step further; return its exit status."""
    command = [*UNSHARE[wanted], sys.executable, "-m", "tests.production", subject]
    # The settings are read to find the guide; no process of the product inherits them.
    ours = {"DJANGO_SETTINGS_MODULE": "stoa_cp.settings", "STOA_ENV": "test"}
    environment = os.environ | ours | {STEP: wanted, FOLDER: str(folder)}
    return subprocess.run(command, env=environment, check=False).returncode


def mount_folder() -> None:
    """Let the run's folder be a file system of its own: an overlay cannot take two folders, one below the other."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=711", "tmpfs", str(folder())], check=True)


@contextmanager
def furnished() -> Iterator[None]:
    """Bring the network up, and answer all names. Everything ends with the namespaces."""
    names = folder() / "resolv.conf"
    names.write_text(f"nameserver {DOCKERS_NAME_SERVER}\noptions timeout:1 attempts:2\n")
    for command in (
        ["ip", "link", "set", "lo", "up"],
        ["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"],
        ["mount", "--bind", str(names), "/etc/resolv.conf"],
    ):
        subprocess.run(command, check=True)
    with NameServer([ADDRESS], listen=DOCKERS_NAME_SERVER).running():
        yield
