"""Ready means able to serve: what is away and not needed is named, with 200."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection

from stoa_cp.devserver.cluster import free_port
from stoa_cp.devserver.grants import Grants
from stoa_cp.observability.health import _sessions_have_time_outs
from tests.databases import database_url
from tests.faults import processes
from tests.faults.proxies import Proxy
from tests.security.installation import environment
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def surroundings(realm: Grants) -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        yield environment(database_url(), realm, folder)


def ready(port: int) -> tuple[int, Any]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as probe:
        probe.request("GET", "/readyz")
        response = probe.getresponse()
        return response.status, json.loads(response.read())


def test_without_broker_and_counters_it_serves_and_says_so(surroundings: dict[str, str]) -> None:
    away = f"redis://127.0.0.1:{free_port(0)}/0"
    with (
        tempfile.TemporaryFile() as log,
        processes.web(surroundings | {"STOA_BROKER_URL": away, "STOA_COUNTER_URL": away}, log) as server,
    ):
        status, answer = ready(server.port)

    assert status == 200
    assert answer == {
        "status": "degraded",
        "components": {"database": "ok", "counters": "unavailable", "broker": "unavailable", "migrations": "ok"},
    }


def test_without_the_database_it_is_not_ready(surroundings: dict[str, str]) -> None:
    url = urlsplit(database_url())
    with tempfile.TemporaryFile() as log, Proxy(url.port or 0).running() as database:
        through = url._replace(netloc=f"{url.netloc.rpartition(':')[0]}:{database.port}").geturl()
        # A broker that is there: the queue in the database would be away with it.
        with processes.web(surroundings | {"DATABASE_URL": through, "STOA_BROKER_URL": "memory://"}, log) as server:
            assert ready(server.port) == (200, {"status": "ok", "components": dict.fromkeys(COMPONENTS, "ok")})
            database.refuse()
            wait_until(lambda: unavailable(ready(server.port)))
            database.serve_again()
            wait_until(lambda: ready(server.port)[0] == 200)


def unavailable(answered: tuple[int, Any]) -> bool:
    """Tell of one answer: each of two processes finds out for itself."""
    return answered[0] == 503 and answered[1]["status"] == "unavailable"


COMPONENTS = ("database", "counters", "broker", "migrations")


def test_sessions_without_time_outs_are_noticed() -> None:
    assert _sessions_have_time_outs()
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 0")
    try:
        assert not _sessions_have_time_outs()
    finally:
        connection.close()
