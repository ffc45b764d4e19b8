"""Reading metrics from a replica, and from the primary while the replica is away."""

import json
import tempfile
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from stoa_cp.db import replica
from stoa_cp.devserver.cluster import free_port
from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.realm import PEOPLE, access_claims
from subscriptions.models import Subscription
from tests.conftest import Caller
from tests.databases import database_url
from tests.faults import load, processes
from tests.faults.proxies import Proxy
from tests.metrics.traffic import fold_all, record_of, report
from tests.security.installation import environment
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "replica"])


def test_metrics_are_read_from_the_replica_and_nothing_else_is(
    alice: Caller, mobile: Subscription, settings: Settings
) -> None:
    report(record_of(mobile))
    fold_all()
    report(record_of(mobile))

    for database, statements in (("default", 0), ("replica", 1)):
        settings.STOA_METRICS_DATABASE = database
        with CaptureQueriesContext(connections["replica"]) as asked:
            answer = alice.get("/v1/tenants/acme/metrics").json()
        assert answer["totals"]["requests"] == 2
        assert len(asked) == statements


def test_the_console_and_the_metrics_do_without_a_replica_that_is_away(
    alice: Caller, console: Client, mobile: Subscription, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(record_of(mobile))
    connections["replica"].close()
    monkeypatch.setitem(connections["replica"].settings_dict, "PORT", free_port(0))
    monkeypatch.setattr(replica, "_replica", replica._Replica())
    settings.STOA_METRICS_DATABASE = "replica"

    assert alice.get("/v1/tenants/acme/metrics").json()["totals"]["requests"] == 1
    assert console.get("/admin/").status_code == 200
    assert replica._replica.away_until


AS_USUAL = {
    "status": "ok",
    "components": dict.fromkeys(("database", "counters", "broker", "migrations", "replica"), "ok"),
}


WITHOUT_REPLICA = {
    "status": "degraded",
    "components": {**dict.fromkeys(("database", "counters", "broker", "migrations"), "ok"), "replica": "unavailable"},
}


def ready(port: int) -> tuple[int, Any]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as probe:
        probe.request("GET", "/readyz")
        response = probe.getresponse()
        return response.status, json.loads(response.read())


def test_a_replica_may_go_and_come_back(realm: Grants, mobile: Subscription) -> None:
    report(record_of(mobile))
    url = urlsplit(database_url())
    path = "/tenants/acme/metrics"
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log, Proxy(url.port or 0).running() as to:
        through = url._replace(netloc=f"{url.netloc.rpartition(':')[0]}:{to.port}").geturl()
        surroundings = environment(database_url(), realm, folder) | {
            "DATABASE_REPLICA_URL": through,
            "STOA_BROKER_URL": "memory://",  # the queue is not installed in the database of the tests
        }
        token = realm.key.sign(access_claims(PEOPLE["olga"], realm.issuer))
        with processes.web(surroundings, log) as server, closing(load.Caller(server.port, token)) as api:
            assert api.send("GET", path).json["totals"]["requests"] == 1
            assert ready(server.port) == (200, AS_USUAL)

            to.refuse()
            wait_until(lambda: [api.send("GET", path).status for _call in range(8)] == [200] * 8)
            wait_until(lambda: ready(server.port) == (200, WITHOUT_REPLICA))

            to.serve_again()
            wait_until(lambda: ready(server.port) == (200, AS_USUAL), seconds=40)
            assert api.send("GET", path).json["totals"]["requests"] == 1
