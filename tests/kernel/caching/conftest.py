"""A process that listens for changes, as every web process does."""

from collections.abc import Iterator

import pytest

from tests.listening import listener


@pytest.fixture
def listening(transactional_db: None) -> Iterator[None]:
    with listener():
        yield
