"""The store of a provider's signing keys, and its clock."""

import time

import pytest

from stoa_cp.identity import jwks
from stoa_cp.identity.jwks import KeyStore
from tests.kernel.identity.provider import Provider
from tests.waiting import wait_until


@pytest.fixture
def store(provider: Provider) -> KeyStore:
    """The key store that the process uses, with the provider's keys in it."""
    keys = jwks.signing_keys()
    assert keys.get_or_fetch(provider.keys[0]["kid"])
    return keys


class ShiftedClock:
    """The module ``time``, ahead by as many seconds as the test says."""

    def __init__(self) -> None:
        self.seconds_ahead = 0.0

    def time(self) -> float:
        return time.time() + self.seconds_ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.seconds_ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ShiftedClock:
    """The key stores' clock: their time-outs keep the real one."""
    clock = ShiftedClock()
    monkeypatch.setattr(jwks, "time", clock)
    return clock


def settle(keys: KeyStore) -> None:
    """Wait for the fetch in the background."""
    wait_until(lambda: not keys.is_fetching, "the fetch ends", seconds=5)
