"""A process takes a lease with its first load, and ends it when nothing that it has cached is valid any more."""

from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now

from stoa_cp.caching import cache as caching_cache
from stoa_cp.caching.barrier import wait_for_invalidation
from stoa_cp.caching.cache import Cache, ProcessCache, lease
from stoa_cp.caching.listener import RENEWAL_SECONDS
from stoa_cp.caching.models import CacheLease
from tenants.models import Tenant
from tests.factories import TenantFactory
from tests.kernel.caching.test_listener import newest_epoch
from tests.listening import list_cache, listener_on_demand
from tests.waiting import comes_true, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Cache[str, str]:
    lease.reset()  # an earlier test may have loaded something
    cache = Cache[str, str]()
    list_cache(cache, monkeypatch)
    return cache


@pytest.fixture
def tenant(cache: Cache[str, str]) -> Tenant:
    return TenantFactory(region="before")


def read(tenant: Tenant) -> str:
    return Tenant.objects.get(pk=tenant.pk).region


def load(cache: Cache[str, str], tenant: Tenant) -> None:
    with cache.loading("region") as keep:
        keep(read(tenant), tenant.id)


def change(tenant: Tenant) -> None:
    Tenant.objects.filter(pk=tenant.pk).update(region="after", updated_at=Now())


def test_a_process_that_caches_nothing_takes_no_lease(cache: Cache[str, str], tenant: Tenant) -> None:
    with listener_on_demand():
        assert not comes_true(CacheLease.objects.exists, seconds=3 * RENEWAL_SECONDS)
        assert cache.get("region") is None


def test_the_first_load_asks_for_a_lease_and_does_not_wait_for_it(cache: Cache[str, str], tenant: Tenant) -> None:
    load(cache, tenant)  # returns although nothing listens yet
    assert cache.get("region") is None
    with listener_on_demand():
        wait_until(lease.is_held)
        load(cache, tenant)
        assert cache.get("region") == "before"
        assert CacheLease.objects.count() == 1


def test_a_lease_ends_when_the_last_entry_has_expired(
    cache: Cache[str, str], tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching_cache, "MAX_AGE_SECONDS", 2.0)

    def load_until_held() -> None:
        wait_until(lambda: (load(cache, tenant), lease.is_held())[1])

    with listener_on_demand():
        load_until_held()
        wait_until(lambda: not CacheLease.objects.exists())
        assert monotonic() >= lease.last_load_at + 2.0
        assert cache.get("region") is None
        load_until_held()
        assert CacheLease.objects.count() == 1


def test_what_was_read_before_the_lease_was_taken_is_not_kept(cache: Cache[str, str], tenant: Tenant) -> None:
    # The author saw no lease, and its notification was sent before the process listened.
    with cache.loading("region") as keep:
        found = read(tenant)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: (change(tenant), wait_for_invalidation(), connection.close())).result(timeout=30)
        with listener_on_demand():
            wait_until(lease.is_held)
            keep(found, tenant.id)
            assert cache.get("region") is None


def test_a_process_that_begins_to_cache_while_an_author_waits_keeps_nothing_older(
    cache: Cache[str, str], tenant: Tenant
) -> None:
    before = newest_epoch()
    silent = CacheLease.objects.create(confirmed_epoch=0, valid_until="2100-01-01T00:00Z")
    with ThreadPoolExecutor(1) as pool, cache.loading("region") as keep:
        found = read(tenant)
        author = pool.submit(lambda: (change(tenant), wait_for_invalidation(), connection.close()))
        wait_until(lambda: newest_epoch() > before)
        try:
            with listener_on_demand():
                wait_until(lease.is_held)
                keep(found, tenant.id)
                assert cache.get("region") is None
                load(cache, tenant)
                assert cache.get("region") == "after"
                # The newcomer has confirmed the epoch; the author waits for the silent holder alone.
                assert CacheLease.objects.exclude(pk=silent.pk).get().confirmed_epoch == newest_epoch()
                assert not author.done()
        finally:
            silent.delete()
        author.result(timeout=30)


class Owing(ProcessCache):
    """A cache that must return something, and cannot for a while."""

    def __init__(self) -> None:
        self.failures, self.returned, self.is_away = 0, 0, False

    def invalidate(self, owner: str | None) -> None:
        if self.is_away:
            self.failures += 1
            raise OperationalError
        self.returned += 1


def test_what_could_not_be_returned_is_returned_later_without_another_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching_cache, "MAX_AGE_SECONDS", 0.5)
    lease.reset()
    owing = Owing()
    list_cache(owing, monkeypatch)
    with listener_on_demand():
        wait_until(lambda: lease.note_load() > 0 and lease.is_held())
        owing.is_away = True
        wait_until(lambda: owing.failures > 2)
        before, owing.is_away = owing.returned, False
        wait_until(lambda: owing.returned > before)
        wait_until(lambda: not CacheLease.objects.exists())


def test_a_new_holder_is_waited_for_by_the_next_author(cache: Cache[str, str], tenant: Tenant) -> None:
    with listener_on_demand():
        load(cache, tenant)
        wait_until(lease.is_held)
        for _round in range(20):
            Tenant.objects.filter(pk=tenant.pk).update(region="before")
            wait_for_invalidation()
            load(cache, tenant)
            change(tenant)
            wait_for_invalidation()
            assert cache.get("region") is None
