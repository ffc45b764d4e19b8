"""Follows a growing log file through its rotations, with checkpoints, so that each line is delivered once.

A file is identified by its fingerprint, a hash of its first line, and not by its name or inode. So a renamed file
continues at its checkpoint, a copy continues where its original was read to (copytruncate), and a file with a new
first line is read from its beginning, also if its inode was used before.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import time

# Bounds the memory, and how much is sent again after a crash. A line of 4 MiB is no access log's.
CHUNK_BYTES = 4 * 2**20
COMPRESSED = frozenset({".gz", ".bz2", ".xz", ".zst"})
# A rotated file may be missing for a moment, for example while it is renamed: its checkpoint is kept. After a week the
# file is taken for deleted, and the state file does not grow with each rotation.
FORGET_AFTER_SECONDS = 7 * 86_400


@dataclass(slots=True)
class Checkpoint:
    """How far one file was read.

    ``offset`` is where delivery is certain to, in bytes. ``until`` is the end of a chunk that was handed out, and may
    have been delivered or not; None if there is none. ``seen_at`` is in seconds since 1970. The names are those in the
    state file.
    """

    offset: int = 0
    until: int | None = None
    seen_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines of one file."""

    fingerprint: str
    start: int
    content: bytes

    @property
    def end(self) -> int:
        return self.start + len(self.content)

    @property
    def name(self) -> str:
        """The name of these bytes, the same each time they are read: the receiver can recognise a repetition."""
        return f"{self.fingerprint}-{self.start}-{self.end}"


class StateFile:
    """The checkpoints of a log and its rotated files, by fingerprint, stored in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_new = not path.exists()
        stored = {} if self.is_new else json.loads(path.read_text())
        self._checkpoints = {fingerprint: Checkpoint(**fields) for fingerprint, fields in stored.items()}

    def checkpoint_of(self, fingerprint: str) -> Checkpoint:
        """Return the checkpoint of a file; a new file's is at its beginning."""
        return self._checkpoints.setdefault(fingerprint, Checkpoint())

    def save(self) -> None:
        """Replace the stored checkpoints, atomically and durably."""
        kept = {
            fingerprint: asdict(checkpoint)
            for fingerprint, checkpoint in self._checkpoints.items()
            if time() - checkpoint.seen_at < FORGET_AFTER_SECONDS
        }
        # Written beside the old file, synced, then renamed: a reader finds the old state or the new one. The directory
        # is synced too, or a power cut could undo the rename after a chunk was delivered.
        draft = self.path.with_name(self.path.name + ".new")
        with draft.open("w") as file:
            json.dump(kept, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


class LogTailer:
    """Reads the new lines of a log in chunks. ``commit`` each chunk after it was delivered."""

    def __init__(self, log: Path, state: StateFile) -> None:
        self._log = log
        self._state = state

    def start(self) -> None:
        """On the very first start, skip the files that were rotated before: only the log itself is read."""
        if self._state.is_new:
            for path in self._files():
                if path != self._log and (fingerprint := _fingerprint(path)):
                    checkpoint = self._state.checkpoint_of(fingerprint)
                    checkpoint.offset = path.stat().st_size
                    checkpoint.seen_at = time()
        self._state.save()

    def chunks(self) -> Iterator[Chunk]:
        """Yield the lines that are not committed yet, oldest file first.

        The end of a chunk is stored before the chunk is handed out. So a process that is killed now yields the same
        chunk, with the same name, at its next start, even if the file has grown.
        """
        for path in self._files():
            fingerprint = _fingerprint(path)
            if fingerprint is None:
                continue
            checkpoint = self._state.checkpoint_of(fingerprint)
            checkpoint.seen_at = time()
            while content := _read_lines(path, fingerprint, checkpoint):
                checkpoint.until = checkpoint.offset + len(content)
                self._state.save()
                yield Chunk(fingerprint, checkpoint.offset, content)

    def commit(self, chunk: Chunk) -> None:
        """Store that the chunk was delivered."""
        checkpoint = self._state.checkpoint_of(chunk.fingerprint)
        checkpoint.offset, checkpoint.until = chunk.end, None
        self._state.save()

    def _files(self) -> list[Path]:
        """Return the log and its rotated files, oldest first.

        Rotated files are named like ``a.log.1``, ``a.log-20260109`` or ``a-2026-01-09….log``.
        """
        names = re.compile(
            rf"{re.escape(self._log.name)}([.-].+)?|{re.escape(self._log.stem)}-\d.*{re.escape(self._log.suffix)}"
        )
        # The state file and its draft lie beside the log by default, and are named like rotated files.
        state_files = (self._state.path.name, self._state.path.name + ".new")
        found = []
        for entry in os.scandir(self._log.parent):
            is_log = names.fullmatch(entry.name) and not entry.name.startswith(state_files)
            # Compressed files are skipped: a checkpoint counts bytes of the uncompressed file. The generated Caddyfile
            # leaves rotated files uncompressed for this reason.
            if is_log and Path(entry.name).suffix not in COMPRESSED and entry.is_file():
                found.append((entry.stat().st_mtime, entry.name))
        return [self._log.parent / name for _modified, name in sorted(found)]


def _fingerprint(path: Path) -> str | None:
    """Return what identifies a file: a hash of its first line.

    None if the first line is not complete yet, or if the file was renamed at this moment.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(CHUNK_BYTES)
    except FileNotFoundError:
        return None
    # 64 bits: a state file holds a few fingerprints at a time.
    return hashlib.sha256(line).hexdigest()[:16] if line.endswith(b"\n") else None


def _read_lines(path: Path, fingerprint: str, checkpoint: Checkpoint) -> bytes:
    """Return whole lines from the checkpoint on: up to ``until`` if there is one. Empty at the end of the file."""
    length = CHUNK_BYTES if checkpoint.until is None else checkpoint.until - checkpoint.offset
    try:
        with path.open("rb") as file:
            file.seek(checkpoint.offset)
            content = file.read(length)
    except FileNotFoundError:
        return b""
    # Checked after the read: if the file was renamed or truncated meanwhile, these bytes may be another file's.
    if _fingerprint(path) != fingerprint:
        return b""
    if checkpoint.until is not None:
        # A truncated file may be too short for the chunk. Its copy, if there is one, has the bytes.
        return content if len(content) == length else b""
    # The last line may still be being written, so it waits. A line longer than a chunk is passed on in pieces, or the
    # tailer would never get past it.
    return content[: content.rfind(b"\n") + 1] or (content if len(content) == CHUNK_BYTES else b"")
