"""What a web worker holds in memory, and how long a management command takes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from statistics import median
from time import perf_counter
from typing import NamedTuple

from apikeys.services.keys import NewKey, issue_key
from catalog.services.gateways import create_gateway
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.rest.pagination import DEFAULT_LIMIT
from tests.apikeys.processes import WebProcess, web_processes
from tests.benchmarks.lists import CALLERS, UNLIMITED, get, make_tenant, naive, ours, token_for
from tests.benchmarks.load import measure
from tests.benchmarks.results import ROUNDS, SECONDS, Row
from tests.benchmarks.verification import verify_request
from tests.databases import database_url
from tests.factories import ApiFactory, SubscriptionFactory
from tests.kernel.identity.provider import Provider

GOAL_MB = 110
TIMES_DJANGO = 25
CHECK = ("manage.py", "check")
IMPORT = ("-c", "import django")


class Memory(NamedTuple):
    """What a process holds, in MB: with what it shares in full, and by its part of it."""

    resident_mb: float
    proportional_mb: float

    def __str__(self) -> str:
        return f"{self.resident_mb:.0f} MB (PSS {self.proportional_mb:.0f} MB)"


def footprint_rows() -> Iterator[Row]:
    yield from _memory_rows()
    yield _command_row()


def _memory_rows() -> Iterator[Row]:
    """Look at the larger of two workers after a load of reads and verifications.

    Resident memory (RSS) is what ``ps`` and most monitoring show. It counts in full what the workers share; the
    proportional set size (PSS), by which they add up, stands beside it.
    """
    gateway_token = create_gateway("bench-footprint", by=SYSTEM).secret
    tenant = make_tenant("bench-footprint")
    ApiFactory.create_batch(DEFAULT_LIMIT, tenant=tenant)
    secret = issue_key(
        SubscriptionFactory(tenant=tenant, active=True, rate_limit=UNLIMITED), NewKey(), by=SYSTEM
    ).secret
    with Provider() as provider, web_processes(ours(provider), naive(provider)) as servers:
        reads = [get(f"/v1/tenants/{tenant.name}/apis", token_for(tenant, provider))]
        verifications = [verify_request(gateway_token, secret)]
        for server in servers:
            for requests in (reads, verifications):
                measure(server.port, requests * CALLERS, seconds=SECONDS, callers=CALLERS)
        own, other = (_largest(server) for server in servers)
    name = "memory of a web worker after a load (RSS)"
    yield Row(name, str(own), f"≤ {GOAL_MB} MB", GOAL_MB / own.resident_mb, goal=1)
    yield Row(f"{name}, against the obvious DRF", str(own), str(other), other.resident_mb / own.resident_mb)


def _largest(server: WebProcess) -> Memory:
    infos = [worker.memory_full_info() for worker in server.workers()]
    return max(Memory(info.rss / 1e6, info.pss / 1e6) for info in infos)


def _command_row() -> Row:
    """Time whole commands, with the interpreter's own start."""
    rounds = [[_milliseconds(*command) for command in (CHECK, IMPORT)] for _round in range(ROUNDS)]
    check, django = (median(one[place] for one in rounds) for place in (0, 1))
    name = f"`manage.py check`, at most {TIMES_DJANGO} times as long as `import django`"
    return Row(name, f"{check:.0f} ms", f"{django:.0f} ms", django / check, goal=1 / TIMES_DJANGO)


def _milliseconds(*arguments: str) -> float:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "stoa_cp.settings", "DATABASE_URL": database_url()}
    start = perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)
    return (perf_counter() - start) * 1000
