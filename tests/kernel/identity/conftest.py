"""An identity provider for each test, and a process that has seen no token yet."""

import time
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from stoa_cp.identity import authentication, jwks
from stoa_cp.identity.jwks import KeyStore
from tests.kernel.identity.provider import Provider
from tests.waiting import wait_until


@pytest.fixture
def provider(settings: Settings) -> Iterator[Provider]:
    with Provider() as served:
        settings.STOA_OIDC_ISSUER = served.url
        settings.STOA_OIDC_JWKS_URL = ""
        settings.STOA_OIDC_AUDIENCE = "control-plane-api"
        settings.STOA_OIDC_ALLOWED_AZP = ["ci-robot"]
        settings.STOA_OIDC_ALGORITHMS = ["RS256", "ES256", "PS256"]
        restart_process()
        yield served
    restart_process()


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


def restart_process() -> None:
    """Forget what a process keeps in memory."""
    jwks.forget_signing_keys()
    authentication.recent_tokens.clear()


def settle(keys: KeyStore) -> None:
    """Wait for the fetch in the background."""
    wait_until(lambda: not keys.is_fetching, "the fetch ends", seconds=5)
