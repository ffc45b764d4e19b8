"""What a cache keeps, and when it says nothing."""

from time import monotonic

import pytest

from stoa_cp.caching import cache as caching_cache
from stoa_cp.caching.cache import Cache, lease


@pytest.fixture(autouse=True)
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "ends_at", monotonic() + 60)


@pytest.fixture
def cache() -> Cache[str, int]:
    return Cache()


def load(cache: Cache[str, int], key: str, value: int, owner: str = "acme") -> None:
    with cache.loading(key) as keep:
        keep(value, owner)


def test_what_was_loaded_is_kept(cache: Cache[str, int]) -> None:
    assert cache.get("a") is None
    load(cache, "a", 1)
    assert cache.get("a") == 1


def test_without_a_lease_nothing_is_answered_or_kept(cache: Cache[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    load(cache, "a", 1)
    with monkeypatch.context() as over:
        over.setattr(lease, "ends_at", monotonic())
        assert cache.get("a") is None
        load(cache, "b", 2)
    assert (cache.get("a"), cache.get("b")) == (1, None)


def test_an_owner_s_rows_are_forgotten_and_no_others(cache: Cache[str, int]) -> None:
    load(cache, "a", 1, owner="acme")
    load(cache, "b", 2, owner="globex")
    cache.invalidate("acme")
    assert (cache.get("a"), cache.get("b")) == (None, 2)
    cache.invalidate(None)
    assert cache.get("b") is None


def test_what_changed_between_its_reading_and_its_keeping_is_not_kept(cache: Cache[str, int]) -> None:
    with cache.loading("a") as keep:
        cache.invalidate("acme")
        keep(1, "acme")
    assert cache.get("a") is None


def test_nothing_is_kept_for_long(cache: Cache[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "ends_at", float("inf"))
    load(cache, "a", 1)
    monkeypatch.setattr(caching_cache, "monotonic", lambda: monotonic() + caching_cache.MAX_AGE_SECONDS)
    assert cache.get("a") is None


def test_the_oldest_goes_when_there_is_no_room(cache: Cache[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching_cache, "MAX_ENTRIES", 2)
    for number, key in enumerate("abc"):
        load(cache, key, number)
    assert [cache.get(key) for key in "abc"] == [None, 1, 2]
