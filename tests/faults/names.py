"""A name server for one name, whose address is another one at every question (RFC 1035, as little as it takes)."""

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from threading import Thread

TYPE_A = 1
HEADER = struct.Struct("!6H")
ANSWER_FLAGS = 0x8580  # a response, authoritative, recursion available
POINTER_TO_QUESTION = 0xC00C


class NameServer:
    """Answers on port 53 of a loopback address, for a time to live of 0 s."""

    def __init__(self, addresses: Sequence[str], listen: str = "127.0.0.1") -> None:
        self._addresses = cycle(addresses)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((listen, 53))
        self.questions = 0

    @contextmanager
    def running(self) -> Iterator["NameServer"]:
        Thread(target=self._serve, daemon=True).start()
        try:
            yield self
        finally:
            self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                message, asker = self._socket.recvfrom(512)
            except OSError:
                return
            self._socket.sendto(self._answer(message), asker)

    def _answer(self, message: bytes) -> bytes:
        number = HEADER.unpack_from(message)[0]
        end = message.index(b"\0", HEADER.size) + 5  # the name's end, type and class
        question = message[HEADER.size : end]
        (kind,) = struct.unpack("!H", question[-4:-2])
        if kind != TYPE_A:
            return HEADER.pack(number, ANSWER_FLAGS, 1, 0, 0, 0) + question
        self.questions += 1
        address = socket.inet_aton(next(self._addresses))
        record = struct.pack("!HHHIH", POINTER_TO_QUESTION, TYPE_A, 1, 0, len(address)) + address
        return HEADER.pack(number, ANSWER_FLAGS, 1, 1, 0, 0) + question + record
