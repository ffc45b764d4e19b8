"""Follows a growing file through its rotations, and remembers how far it was read, so that each line is read once.

A file is known by its first line, whatever it is called: one that was renamed goes on where it was left, a copy goes
on where its original was left (copytruncate), and what begins anew is read from its beginning.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import time

CHUNK_BYTES = 4 * 2**20
COMPRESSED = frozenset({".gz", ".bz2", ".xz", ".zst"})
# A rotated file may be out of sight for a moment; one that stays away is gone.
FORGET_AFTER_SECONDS = 7 * 86_400


@dataclass(slots=True)
class Checkpoint:
    """How far one file was read, in bytes; ``until`` is the end of a chunk that may have been delivered already."""

    offset: int = 0
    until: int | None = None
    seen_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines of one file. ``name`` is the same whenever the same bytes are read again."""

    head: str
    start: int
    content: bytes

    @property
    def end(self) -> int:
        return self.start + len(self.content)

    @property
    def name(self) -> str:
        return f"{self.head}-{self.start}-{self.end}"


class Places:
    """The places of a file and its rotated siblings, kept in a file of their own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_new = not path.exists()
        stored = {} if self.is_new else json.loads(path.read_text())
        self._by_head = {head: Checkpoint(**place) for head, place in stored.items()}

    def of(self, head: str) -> Checkpoint:
        """Return the place of a file, at its beginning if it is new."""
        return self._by_head.setdefault(head, Checkpoint())

    def save(self) -> None:
        """Write them so that a reader finds the old ones or the new ones, also after a power cut."""
        kept = {head: place for head, place in self._by_head.items() if time() - place.seen_at < FORGET_AFTER_SECONDS}
        draft = self.path.with_name(self.path.name + ".new")
        with draft.open("w") as file:
            json.dump({head: asdict(place) for head, place in kept.items()}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class LogTailer:
    """Reads what is new in a log. Between ``chunks`` and ``settle`` a chunk counts as delivered or not, never half."""

    def __init__(self, log: Path, places: Places) -> None:
        self._log = log
        self._places = places

    def begin(self) -> None:
        """At the very first start, leave out what was rotated away before: only the log itself is read."""
        if self._places.is_new:
            for path in self._files():
                if path != self._log and (head := _head_of(path)):
                    self._places.of(head).offset = path.stat().st_size
                    self._places.of(head).seen_at = time()
        self._places.save()

    def chunks(self) -> Iterator[Chunk]:
        """Yield what has not been settled yet, the oldest file first.

        Before a chunk is handed out it is written down, so that whoever is killed now reads the same chunk next time,
        with the same name, however much the file has grown.
        """
        for path in self._files():
            head = _head_of(path)
            if head is None:
                continue
            place = self._places.of(head)
            place.seen_at = time()
            while content := _read_lines(path, head, place):
                place.until = place.offset + len(content)
                self._places.save()
                yield Chunk(head, place.offset, content)

    def settle(self, chunk: Chunk) -> None:
        """Remember that the chunk was delivered."""
        place = self._places.of(chunk.head)
        place.offset, place.until = chunk.end, None
        self._places.save()

    def _files(self) -> list[Path]:
        """Return the log and its siblings, the oldest first: ``a.log.1``, ``a.log-20260109``, ``a-2026-01-09….log``."""
        names = re.compile(
            rf"{re.escape(self._log.name)}([.-].+)?|{re.escape(self._log.stem)}-\d.*{re.escape(self._log.suffix)}"
        )
        ours = (self._places.path.name, self._places.path.name + ".new")
        found = []
        for entry in os.scandir(self._log.parent):
            is_one = names.fullmatch(entry.name) and not entry.name.startswith(ours)
            if is_one and Path(entry.name).suffix not in COMPRESSED and entry.is_file():
                found.append((entry.stat().st_mtime, entry.name))
        return [self._log.parent / name for _modified, name in sorted(found)]


def _head_of(path: Path) -> str | None:
    """Return what a file is known by; None without a whole first line, or when it was renamed at this moment."""
    try:
        with path.open("rb") as file:
            line = file.readline(CHUNK_BYTES)
    except FileNotFoundError:
        return None
    return hashlib.sha256(line).hexdigest()[:16] if line.endswith(b"\n") else None


def _read_lines(path: Path, head: str, place: Checkpoint) -> bytes:
    """Return whole lines from the place on: exactly those up to ``until`` if there is one. Empty at the end."""
    length = CHUNK_BYTES if place.until is None else place.until - place.offset
    try:
        with path.open("rb") as file:
            file.seek(place.offset)
            content = file.read(length)
    except FileNotFoundError:
        return b""
    if _head_of(path) != head:  # renamed or truncated meanwhile: these bytes may be another file's
        return b""
    if place.until is not None:
        return content if len(content) == length else b""
    # A line without an end is still being written, or longer than any log's.
    return content[: content.rfind(b"\n") + 1] or (content if len(content) == CHUNK_BYTES else b"")
