"""A provider of this test's own, and an authenticator that has never seen a token."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pytest_django import Settings

from stoa_cp.identity import authentication, jwks
from stoa_cp.identity.jwks import KeyStore
from tests.kernel.identity.provider import Provider


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
    """The key store that the process uses, warm."""
    keys = jwks.signing_keys()
    assert keys.get(provider.keys[0]["kid"])
    return keys


def restart_process() -> None:
    """Forget what a process keeps in memory."""
    jwks._stores.clear()
    authentication._recent._tokens.clear()


def age(keys: KeyStore, seconds: float) -> None:
    """Let the last fetch be ``seconds`` ago."""
    keys._set = replace(keys._set, fetched_at=keys._set.fetched_at - seconds)
    keys._next_fetch_at -= seconds


def settle(keys: KeyStore) -> None:
    """Wait for the fetch in the background."""
    if keys._fetching is not None:
        keys._fetching.join(5)
        assert not keys._fetching.is_alive()
