"""How many sessions each process has with the database: bounded, and counted by the name that each process has."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread
from typing import Any

import psycopg
import pytest

from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.realm import PEOPLE, access_claims
from stoa_cp.settings.databases import process_name
from tests.faults import processes
from tests.faults.load import Caller, writing
from tests.security.installation import Installation, installed, provision
from tests.waiting import wait_until

THREADS, CONCURRENCY = 4, 8
TENANTS = 40
LOAD_SECONDS = 8.0
# Two names of the same process: a child of beat, for example, has its parent's.
SESSIONS = """
SELECT application_name, count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
GROUP BY application_name
"""


@pytest.fixture(scope="module")
def installation(realm: Grants) -> Iterator[Installation]:
    with installed(realm) as installation:
        yield installation


@contextmanager
def most_sessions(installation: Installation) -> Iterator[dict[str, int]]:
    """Collect the highest number of sessions that each process had at once, all the time that the block lasts."""
    most: dict[str, int] = {}
    is_over = Event()

    def watch() -> None:
        with psycopg.connect(installation.owner["DATABASE_URL"], autocommit=True) as session:
            while not is_over.wait(0.02):
                for name, count in session.execute(SESSIONS).fetchall():
                    most[name] = max(count, most.get(name, 0))

    thread = Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        is_over.set()
        thread.join()


def test_each_process_keeps_to_its_number(installation: Installation, realm: Grants) -> None:
    token = realm.key.sign(access_claims(PEOPLE["olga"], realm.issuer))
    surroundings = {**installation.service, "STOA_PLATFORM_RATE_LIMIT": "1000000"}
    with (
        tempfile.TemporaryFile() as log,
        most_sessions(installation) as most,
        processes.web(surroundings, log) as server,
        processes.worker(surroundings, log, CONCURRENCY),
        processes.beat(surroundings, log),
        closing(Caller(server.port, token)) as api,
    ):
        provision(api)
        for number in range(TENANTS):  # each sends a task to the worker
            assert api.post("/tenants", TENANT | {"name": f"tenant-{number}"}).status == 201
        with writing(server.port, token, "acme", callers=2 * THREADS) as load:
            Event().wait(LOAD_SECONDS)
        wait_until(lambda: installation.count(WAITING_TENANTS) == 0, "all tenants are set up")

    assert set(load.statuses()) == {201}
    counts: dict[str, list[int]] = {}
    for name, count in most.items():
        if match := re.fullmatch(r"stoa-(web|worker|beat)-\d+", name):
            counts.setdefault(match[1], []).append(count)
    assert len(counts["web"]) == 2  # processes, each under its own name
    assert max(counts["web"]) <= THREADS + 2, most
    assert max(counts["worker"]) <= CONCURRENCY + 4, most
    assert max(counts["beat"]) <= 2, most


TENANT: dict[str, Any] = {"tier": "enterprise", "admin_email": "a@b.example", "region": "us-east-1"}
WAITING_TENANTS = "SELECT count(*) FROM tenants_tenant WHERE status = 'provisioning'"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["/opt/stoa/.venv/bin/granian", "stoa_cp.wsgi:application"], "stoa-web-7"),
        (["/site-packages/granian/__main__.py", "--interface", "wsgi"], "stoa-web-7"),
        (["/opt/stoa/.venv/bin/celery", "-A", "stoa_cp", "worker", "--pool", "threads"], "stoa-worker-7"),
        (["/site-packages/celery/__main__.py", "--app", "stoa_cp", "beat"], "stoa-beat-7"),
        (["manage.py", "deliver_webhooks", "--threads", "8"], "stoa-deliver_webhooks-7"),
        (["gunicorn", "stoa_cp.wsgi"], "stoa-gunicorn-7"),
        (["-c"], "stoa-c-7"),
        ([""], "stoa-python-7"),
    ],
)
def test_the_name_says_which_process_it_is(arguments: list[str], name: str) -> None:
    assert process_name(arguments, 7) == name
    assert process_name(arguments, None) == name.removesuffix("-7")
