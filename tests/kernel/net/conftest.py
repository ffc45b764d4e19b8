"""Settings under which plain HTTP is allowed, or only public addresses with HTTPS."""

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def http_is_allowed(settings: Settings) -> None:
    settings.STOA_ALLOW_HTTP_WEBHOOKS = True


@pytest.fixture
def nothing_is_allowed(http_is_allowed: None, settings: Settings) -> None:
    settings.STOA_ALLOW_HTTP_WEBHOOKS = False
    settings.STOA_EGRESS_ALLOW = []
