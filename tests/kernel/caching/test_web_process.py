"""A web process listens from its start, also after a fork; it takes a lease only while it caches something."""

import subprocess
import sys
from os import environ

import pytest

from stoa_cp.caching.models import CacheLease
from tests.databases import database_url

pytestmark = pytest.mark.django_db(transaction=True)

PREAMBLE = """
import os, sys
from threading import enumerate as threads
import stoa_cp.wsgi
from catalog.authentication import gateway_cache
from django.db import connection
from stoa_cp.caching.cache import lease
from stoa_cp.caching.models import CacheLease
from tests.waiting import comes_true, wait_until

def listens():
    return "cache-listener" in [thread.name for thread in threads()]

def cache_something():
    with gateway_cache.loading((b"digest",)):
        pass
    wait_until(lease.is_held)
"""


def run(code: str, **settings: str) -> list[str]:
    """Run code in a web process; return the words that it prints."""
    ended = subprocess.run(
        [sys.executable, "-c", PREAMBLE + code],
        env=environ | {"DJANGO_SETTINGS_MODULE": "stoa_cp.settings", "DATABASE_URL": database_url()} | settings,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split("\n")[-2].split()


def test_it_listens_before_the_first_call_and_takes_a_lease_with_the_first_load() -> None:
    code = """
print(listens(), comes_true(CacheLease.objects.exists, seconds=1), end=" ")
cache_something()
print(CacheLease.objects.exists())
"""
    assert run(code) == ["True", "False", "True"]
    assert not CacheLease.objects.exists()  # it gave its lease back when it ended


def test_each_child_of_a_process_that_forks_after_the_import_listens_for_itself() -> None:
    code = """
cache_something()
connection.close()
child = os.fork()
if not child:
    had_none = not lease.is_held()
    cache_something()
    print(listens(), had_none, CacheLease.objects.count(), flush=True)
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
"""
    assert run(code) == ["True", "True", "2"]


def test_without_the_decision_cache_it_does_not_listen() -> None:
    assert run("print(listens())", STOA_DECISION_CACHE="false") == ["False"]
