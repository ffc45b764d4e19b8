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
