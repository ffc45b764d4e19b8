"""A dump that is taken under load and restored elsewhere: the guide's page "backup" promises what is held here."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from django.db import connection
from psycopg import sql

from apikeys.services.keys import NewKey, issue_key
from catalog.services.gateways import create_gateway
from stoa_cp.devserver.cluster import _installation
from stoa_cp.domain.actors import SYSTEM
from stoa_cp.eventlog.models import Event
from stoa_cp.guide.pages import read_page
from tenants.models import Tenant
from tests.apikeys.processes import Application, WebProcess, web_processes
from tests.commands import run
from tests.databases import database_url
from tests.factories import ApiFactory, SubscriptionFactory
from tests.project.documents import ROOT, rows, section
from tests.waiting import wait_until
from tests.webhooks.factories import DeliveryFactory, WebhookFactory, an_event
from tests.webhooks.receivers import Receiver

pytestmark = pytest.mark.django_db(transaction=True)

COMMAND_SECONDS = 120
QUOTA, CALLS = 100, 3
EVENTS_BEFORE_DUMP = 20  # of the load, so that the dump begins in its midst
UNLOGGED = "SELECT oid::regclass::text FROM pg_class WHERE relpersistence = 'u' AND relkind = 'r' ORDER BY 1"


@dataclass(slots=True)
class Restored:
    """What was there at the dump, and the address of the copy."""

    url: str
    key: str
    gateway_token: str
    heads: Path
    receiver: Receiver
    waiting: set[str]
    events_in_source: int = field(default=0)


def program(name: str) -> str:
    """Return PostgreSQL's own program of the server's version: an older one refuses to dump."""
    own = Path("/usr/lib/postgresql") / str(connection.cursor().connection.info.server_version // 10000) / "bin" / name
    return str(own) if own.exists() else str(_installation() / "bin" / name)


@contextmanager
def changing(tenant: Tenant) -> Iterator[list[Event]]:
    """Emit events in two other threads for the length of the block."""
    is_over, emitted = Flag(), []

    def change() -> None:
        while not is_over.is_set():
            emitted.append(an_event(tenant))
        connection.close()

    threads = [Thread(target=change) for _thread in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield emitted
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


@contextmanager
def copy_of(url: str, dump: Path) -> Iterator[str]:
    """Restore the dump into a database of its own, as the guide does."""
    name = f"restored_{uuid4().hex[:12]}"
    target = urlsplit(url)._replace(path=f"/{name}").geturl()
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            command = [program("pg_restore"), "--exit-on-error", "--no-owner", f"--dbname={target}", str(dump)]
            subprocess.run(command, check=True, timeout=COMMAND_SECONDS)
            yield target
        finally:
            session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def restored(acme: Tenant, globex: Tenant, tmp_path: Path) -> Iterator[Restored]:
    api = ApiFactory(tenant=acme, path="/pay")
    subscription = SubscriptionFactory(tenant=acme, api=api, active=True, rate_limit=None, quota=QUOTA)
    key = issue_key(subscription, NewKey(), by=SYSTEM).secret
    token = create_gateway("edge-1", by=SYSTEM).secret
    heads, dump, url = tmp_path / "heads.jsonl", tmp_path / "stoa.dump", database_url()
    with Receiver().running() as receiver:
        webhook = WebhookFactory(tenant=acme, url=receiver.url)
        waiting = {delivery.event_id for delivery in DeliveryFactory.create_batch(5, webhook=webhook)}
        with web_processes(Application(environment={"STOA_DECISION_CACHE": "false"})) as (server,):
            server.token = token
            assert [call(server, key) for _call in range(CALLS)] == [200] * CALLS
        run("export_heads", "--output", str(heads))
        with changing(globex) as emitted:
            wait_until(lambda: len(emitted) >= EVENTS_BEFORE_DUMP)
            command = [program("pg_dump"), "--format=custom", f"--file={dump}", url]
            subprocess.run(command, check=True, timeout=COMMAND_SECONDS)
            before = len(emitted)
            wait_until(lambda: len(emitted) > before)
        with copy_of(url, dump) as target:
            yield Restored(target, key, token, heads, receiver, waiting, Event.objects.count())


def call(server: WebProcess, key: str) -> int:
    status, _headers, _body = server.ask(
        "GET", "/v1/gateway/authorize", {"X-Forwarded-Uri": "/acme/pay", "X-Forwarded-Method": "GET", "X-API-Key": key}
    )
    return status


def manage(restored: Restored, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {
        "DATABASE_URL": restored.url,
        "DJANGO_SETTINGS_MODULE": "stoa_cp.settings",
        "STOA_ALLOW_HTTP_WEBHOOKS": "true",
        "STOA_EGRESS_ALLOW": "127.0.0.0/8",
    }
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=COMMAND_SECONDS
    )


def test_a_dump_under_load_is_whole_when_it_is_restored(restored: Restored) -> None:
    checked = manage(restored, "check_chain", "--against", str(restored.heads))
    with psycopg.connect(restored.url) as session:
        (events,) = session.execute("SELECT count(*) FROM stoa_cp_event").fetchone() or (0,)

    assert not checked.returncode, checked.stderr
    assert "chains are whole" in checked.stdout
    # The copy ends where the dump began, in the midst of the load.
    assert EVENTS_BEFORE_DUMP <= events < restored.events_in_source


def test_keys_are_valid_and_quotas_stand_as_at_the_dump(restored: Restored) -> None:
    copy = Application(environment={"DATABASE_URL": restored.url, "STOA_DECISION_CACHE": "false"})
    with web_processes(copy) as (server,):
        server.token = restored.gateway_token
        assert server.verify(restored.key) == "valid"
        assert call(server, restored.key) == 200
    with psycopg.connect(restored.url) as session:
        counted = session.execute(
            "SELECT hour_calls, month_calls FROM apikeys_meter WHERE subject LIKE 'sub-%'"
        ).fetchall()

    # The verification counts a call as well.
    assert counted == [(CALLS + 2, CALLS + 2)]


def test_deliveries_that_waited_are_delivered_from_the_copy(restored: Restored) -> None:
    done = manage(restored, "deliver_webhooks", "--once")

    assert not done.returncode, done.stderr
    assert restored.waiting <= {json.loads(each.body)["id"] for each in restored.receiver.received}


def test_the_guide_names_each_table_that_a_crash_empties() -> None:
    table = rows(section(read_page("backup").text, "Tables that a crash empties"))
    with connection.cursor() as cursor:
        cursor.execute(UNLOGGED)
        unlogged = {name for (name,) in cursor.fetchall()}

    # The queue is not installed in the database of the tests.
    assert {row[0].strip("`") for row in table} == unlogged | {"pgmq.notify_insert_throttle"}
