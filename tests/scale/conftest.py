"""The database that the tests of scale run in: loaded once for each process of a run."""

from collections.abc import Iterator
from typing import Protocol

import pytest
from django.db import connection, connections

from tests.scale.loading import load_part
from tests.scale.sizes import Sizes

PART = 0.01
SUFFIX = "scale"


class Blocker(Protocol):
    """What pytest-django lets fixtures do that use the database outside of a test."""

    def unblock(self) -> "Blocker": ...
    def __enter__(self) -> object: ...
    def __exit__(self, *exception: object) -> None: ...


@pytest.fixture(scope="session")
def loaded(django_db_setup: None, django_db_blocker: Blocker) -> Iterator[tuple[str, Sizes]]:
    """Load a hundredth into a copy of the test's database; return the copy's name."""
    with django_db_blocker.unblock():
        connections.close_all()  # a database that others use cannot be copied
        connection.creation.clone_test_db(SUFFIX, verbosity=0, autoclobber=True)
        name = str(connection.creation.get_test_db_clone_settings(SUFFIX)["NAME"])
        with pytest.MonkeyPatch.context() as patch:
            _use(name, patch)
            sizes = load_part(PART)
            connections.close_all()
    yield name, sizes
    with django_db_blocker.unblock():
        connection.creation.destroy_test_db(verbosity=0, suffix=SUFFIX)


@pytest.fixture(scope="module")
def at_scale(loaded: tuple[str, Sizes], django_db_blocker: Blocker) -> Iterator[Sizes]:
    """Let the tests of a module run in the loaded database: see ``tests.scale`` for what it holds.

    Each in a transaction (``django_db`` without ``transaction=True``), or the loaded rows are gone afterwards.
    """
    name, sizes = loaded
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        _use(name, patch)
        yield sizes
        connections.close_all()


def _use(name: str, patch: pytest.MonkeyPatch) -> None:
    connections.close_all()
    for each in connections.all():
        patch.setitem(each.settings_dict, "NAME", name)
