"""Runs what is named, all by default: ``python -m tests.production [compose …]``. Ends with 1 if one is wrong."""

import importlib
import sys
import tempfile
from pathlib import Path
from time import monotonic
from types import ModuleType

from tests.production import machine

# Each is a module with `prepare(folder)`, for what needs the network of this machine, and `run(folder)`.
SUBJECTS = ["compose", "guide"]


def main(wanted: list[str]) -> int:
    """Return the exit status."""
    match machine.step():
        case machine.MACHINE:
            with machine.furnished():
                _module(wanted[0]).run(machine.folder())
            return 0
        case machine.MOUNTS:
            machine.mount_folder()
            _module(wanted[0]).prepare(machine.folder())
            return machine.enter(machine.MACHINE, wanted[0], machine.folder())
    if not machine.is_allowed():
        sys.exit("`make production` needs root on Linux, with unshare, nsenter, setpriv, ip and mount.")
    return max([_run(name) for name in wanted or SUBJECTS])


def _run(name: str) -> int:
    began_at = monotonic()
    with tempfile.TemporaryDirectory(prefix="stoa-production-") as folder:
        status = machine.enter(machine.MOUNTS, name, Path(folder))
    sys.stdout.write(f"{name}: {'WRONG' if status else 'right'}, {monotonic() - began_at:.0f} s\n")
    return status


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"tests.production.run_{name}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
