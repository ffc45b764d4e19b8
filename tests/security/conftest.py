"""Fixtures of other packages' tests that these need, too, and a resolver of names."""

import pytest

from tests.kernel.conftest import provider
from tests.resolver import Names, replace_resolver
from tests.webhooks.conftest import drain, receiver, start_receiver

__all__ = ["drain", "provider", "receiver", "start_receiver"]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()
    replace_resolver(monkeypatch, names.getaddrinfo)
    return names
