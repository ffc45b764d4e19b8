"""Keeps the folder of the web processes' metrics small: one file for all processes that have ended.

prometheus-client has files for each process and leaves them behind, so that no counter goes back. With each reload the
folder grew, and with it the time of a scrape.
"""

import fcntl
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

import psutil
from prometheus_client.mmap_dict import MmapedDict

FILE = re.compile(r"(?P<kind>[a-z]+)(_[a-z]+)?_(?P<pid>[0-9]+)\.db")
# No process has this number, so the library takes the file for that of one more process.
ENDED = "0"
# What adds up. A gauge says how things are, and of an ended process it says nothing.
SUMS = frozenset({"counter", "histogram", "summary"})
# Merging takes milliseconds.
POLL_SECONDS = 0.005


def merge_ended_processes() -> None:
    """Add the counts of ended processes to one file, and delete theirs; call it when a web process starts.

    The folder must be of one machine or container: a process that cannot be seen from here would count as ended.
    """
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not folder:
        return
    # Several processes start at once after a reload, and each count must be added once. One that finds the lock taken
    # goes on without: the next start merges, and a process that is frozen with the lock must stop no other.
    with locked(Path(folder), fcntl.LOCK_EX) as is_locked:
        if not is_locked:
            return
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


@contextmanager
def locked(folder: Path, kind: int, *, seconds: float = 0.0) -> Iterator[bool]:
    """Hold the folder's lock (``LOCK_EX`` to merge, ``LOCK_SH`` to read); yield False if it is not free in time."""
    gives_up_at = monotonic() + seconds
    with (folder / "lock").open("w") as lock:
        while not (is_locked := _try_to_lock(lock.fileno(), kind)) and monotonic() < gives_up_at:
            sleep(POLL_SECONDS)
        yield is_locked  # to close the file gives the lock back


def _try_to_lock(descriptor: int, kind: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        return True
    return False


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
