"""An identity provider for each test, and a process that has seen no token yet."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from stoa_cp.identity import authentication, jwks
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


def restart_process() -> None:
    """Forget what a process keeps in memory."""
    jwks.forget_signing_keys()
    authentication.recent_tokens.clear()
