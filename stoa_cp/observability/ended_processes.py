"""Keeps the folder of the web processes' metrics small: one file for all processes that have ended.

prometheus-client has files for each process and leaves them behind, so that no counter goes back. With each reload the
folder grew, and with it the time of a scrape.
"""

import fcntl
import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import psutil
from prometheus_client.mmap_dict import MmapedDict

FILE = re.compile(r"(?P<kind>[a-z]+)(_[a-z]+)?_(?P<pid>[0-9]+)\.db")
# No process has this number, so the library takes the file for that of one more process.
ENDED = "0"
# What adds up. A gauge says how things are, and of an ended process it says nothing.
SUMS = frozenset({"counter", "histogram", "summary"})


def merge_ended_processes() -> None:
    """Add the counts of ended processes to one file, and delete theirs; call it when a web process starts.

    The folder must be of one machine or container: a process that cannot be seen from here would count as ended.
    """
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not folder:
        return
    with Path(folder, "lock").open("w") as lock:
        # Several processes start at once after a reload, and each count must be added once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended: dict[str, list[Path]] = defaultdict(list)
        for path in Path(folder).glob("*.db"):
            found = FILE.fullmatch(path.name)
            if found and found["pid"] != ENDED and not psutil.pid_exists(int(found["pid"])):
                ended[found["kind"]].append(path)
        for kind, paths in ended.items():
            if kind in SUMS:
                _add(paths, to=Path(folder, f"{kind}_{ENDED}.db"))
            for path in paths:
                path.unlink()


def _add(paths: Iterable[Path], *, to: Path) -> None:
    sums: dict[str, float] = defaultdict(float)
    for path in (*paths, *([to] if to.exists() else [])):
        for key, value, _timestamp, _position in MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call]  # the package has not typed it yet
            sums[key] += value
    # Written beside it and renamed: a scrape finds the old sums or the new ones.
    draft = to.with_suffix(".new")
    draft.unlink(missing_ok=True)
    new = MmapedDict(str(draft))  # type: ignore[no-untyped-call]  # as above
    for key, value in sums.items():
        new.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]  # as above
    new.close()  # type: ignore[no-untyped-call]  # as above
    draft.rename(to)
