"""Nobody answers from before a change that was answered: authors wait, holders listen, leases run out."""

from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from stoa_cp.caching import listener as caching_listener
from stoa_cp.caching.barrier import wait_for_invalidation, wait_for_invalidation_on_commit
from stoa_cp.caching.cache import Cache, lease
from stoa_cp.caching.listener import WRITTEN_SECONDS, Listener
from stoa_cp.caching.models import CacheLease
from tenants.models import Tenant
from tests.factories import TenantFactory
from tests.listening import cut_listeners, list_cache, listener
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Cache[str, int]:
    cache = Cache[str, int]()
    list_cache(cache, monkeypatch)
    return cache


def load(cache: Cache[str, int], tenant: Tenant) -> None:
    with cache.loading("tier") as keep:
        keep(1, tenant.id)
    assert cache.get("tier") == 1


@pytest.mark.usefixtures("listening")
def test_a_change_is_gone_from_the_caches_when_its_author_goes_on(cache: Cache[str, int]) -> None:
    tenant = TenantFactory()
    wait_for_invalidation()
    for _round in range(20):
        load(cache, tenant)
        Tenant.objects.update(updated_at=Now())
        wait_for_invalidation()
        assert cache.get("tier") is None


@pytest.mark.usefixtures("listening")
def test_others_rows_stay(cache: Cache[str, int]) -> None:
    tenant, other = TenantFactory(), TenantFactory()
    wait_for_invalidation()
    load(cache, tenant)
    Tenant.objects.filter(pk=other.pk).update(updated_at=Now())
    wait_for_invalidation()
    assert cache.get("tier") == 1


@pytest.mark.deadline
def test_an_author_waits_for_a_process_that_does_not_listen_until_its_lease_is_over() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            caching_listener.WRITE_LEASE, {"holder": "hld-0000000000000000", "epoch": 0, "seconds": WRITTEN_SECONDS}
        )
    begun_at = monotonic()
    wait_for_invalidation()
    assert WRITTEN_SECONDS - 0.1 <= monotonic() - begun_at <= WRITTEN_SECONDS + 10
    begun_at = monotonic()
    wait_for_invalidation()
    assert monotonic() - begun_at < 1


def test_one_who_confirms_is_not_waited_for_any_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching_listener, "WRITTEN_SECONDS", 60)
    silent, before = Listener(), newest_epoch()
    silent._renew()
    with ThreadPoolExecutor(1) as pool:
        author = pool.submit(lambda: (wait_for_invalidation(), connection.close()))
        wait_until(lambda: newest_epoch() > before)
        silent._receive("stoa_epochs", str(newest_epoch()))
        assert not author.done()
        silent._renew()
        author.result(timeout=30)
    silent._release()


def newest_epoch() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM stoa_cp_epoch")
        return int(cursor.fetchone()[0])


def test_a_renewal_that_finds_an_epoch_of_which_it_has_not_heard_empties_the_caches(cache: Cache[str, int]) -> None:
    # Its author saw no lease, and has gone on: the notification may still be on its way.
    tenant = TenantFactory()
    late = Listener()
    late._renew()
    load(cache, tenant)
    late._renew()
    assert cache.get("tier") == 1
    CacheLease.objects.update(valid_until="2000-01-01T00:00Z")
    wait_for_invalidation()
    late._renew()
    assert cache.get("tier") is None
    assert CacheLease.objects.get(holder=late._holder).confirmed_epoch == newest_epoch()
    late._release()


def test_a_listener_that_is_cut_off_keeps_nothing_and_starts_again(cache: Cache[str, int]) -> None:
    tenant = TenantFactory()
    with listener():
        load(cache, tenant)
        assert cut_listeners() == 1
        wait_until(lambda: cache.get("tier") is None)
        wait_until(lease.is_held)
        assert cache.get("tier") is None
        load(cache, tenant)
        Tenant.objects.update(updated_at=Now())
        wait_for_invalidation()
        assert cache.get("tier") is None


def test_whoever_writes_a_lease_is_one_of_its_holders(monkeypatch: pytest.MonkeyPatch) -> None:
    # A process that was held up between writing its lease down and looking: it has run out meanwhile.
    monkeypatch.setattr(caching_listener, "WRITTEN_SECONDS", -1)
    one, other = Listener(), Listener()
    one._renew()
    assert lease.holders == 1
    monkeypatch.setattr(caching_listener, "WRITTEN_SECONDS", 60)
    one._renew()
    other._renew()
    assert lease.holders == 2
    one._release()
    other._release()


def test_one_who_stops_is_not_waited_for() -> None:
    with listener():
        assert CacheLease.objects.count() == 1
    assert not CacheLease.objects.exists()
    assert not lease.is_held()


def test_a_transaction_waits_once_whatever_it_changes() -> None:
    before = newest_epoch()
    with transaction.atomic():
        wait_for_invalidation_on_commit()
        wait_for_invalidation_on_commit()
        assert newest_epoch() == before
    assert newest_epoch() == before + 1


def test_a_transaction_waits_although_its_first_savepoint_was_undone() -> None:
    before = newest_epoch()
    with transaction.atomic():
        with transaction.atomic():
            wait_for_invalidation_on_commit()
            transaction.set_rollback(True)
        wait_for_invalidation_on_commit()
    assert newest_epoch() == before + 1


def test_each_transaction_waits_for_itself() -> None:
    before = newest_epoch()
    for _transaction in range(3):
        with transaction.atomic():
            wait_for_invalidation_on_commit()
    assert newest_epoch() == before + 3


def test_a_transaction_that_is_undone_waits_for_nobody() -> None:
    before = newest_epoch()
    with transaction.atomic():
        wait_for_invalidation_on_commit()
        transaction.set_rollback(True)
    assert newest_epoch() == before
