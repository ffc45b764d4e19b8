"""Answers that may be long: written to a temporary file first, then sent in the pace of the client."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO

from django.http import FileResponse, HttpResponse, HttpResponseBase

# What is longer is on the disk: most answers are shorter, and a process's memory does not grow with the others.
BYTES_IN_MEMORY = 1 << 20


@dataclass(frozen=True, slots=True)
class Spooled:
    """A text in UTF-8, in a file that stands at its beginning and is gone when it is closed; ``size`` in bytes."""

    file: IO[bytes]
    size: int

    def answer(self, content_type: str, headers: Mapping[str, str]) -> HttpResponseBase:
        """Return a response with the text. It closes the file."""
        if self.size > BYTES_IN_MEMORY:
            sized = {**headers, "Content-Length": str(self.size)}
            return FileResponse(self.file, content_type=content_type, headers=sized)
        with self.file as file:
            return HttpResponse(file.read(), content_type=content_type, headers=headers)


def spool(pieces: Iterable[str]) -> Spooled:
    """Write the pieces to a temporary file.

    A response that was made while it is sent would hold a connection to the database for as long as its client likes,
    and could not become a refusal any more.
    """
    file = SpooledTemporaryFile(BYTES_IN_MEMORY)  # noqa: SIM115 - the answer reads and closes it
    for piece in pieces:
        file.write(piece.encode())
    size = file.tell()
    file.seek(0)
    return Spooled(file, size)
