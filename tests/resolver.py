"""Replaces the resolver of names for outbound checks, and for nothing else in the process."""

import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest


def replace_resolver(monkeypatch: pytest.MonkeyPatch, getaddrinfo: Callable[..., list[Any]]) -> None:
    """Let ``stoa_cp.net.egress`` resolve names with ``getaddrinfo``.

    The module sees a copy of ``socket``: in the real one, the replacement would also answer the threads that read
    signing keys from the test's identity provider.
    """
    monkeypatch.setattr("stoa_cp.net.egress.socket", SimpleNamespace(**vars(socket) | {"getaddrinfo": getaddrinfo}))


class Names:
    """What names resolve to in a test, several addresses with blanks between; other names have none."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}
        self.asked: list[str] = []

    def getaddrinfo(self, name: str, port: int, **_options: Any) -> list[Any]:
        self.asked.append(name)
        if name not in self.addresses:
            raise socket.gaierror
        return [(0, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses[name].split()]


def resolve_nothing(name: str, port: int, *_options: object, **_more: object) -> list[Any]:
    """Resolve addresses and localhost as ever, and no other name: a test asks no name server."""
    return socket.getaddrinfo(
        name, port, type=socket.SOCK_STREAM, flags=0 if name == "localhost" else socket.AI_NUMERICHOST
    )
