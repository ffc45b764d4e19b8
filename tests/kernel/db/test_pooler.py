"""The service behind PgBouncer in transaction mode, as the guide describes it: web, worker, beat and their queue."""

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import IO

import psycopg
import pytest

from stoa_cp.devserver import programs
from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.realm import PEOPLE, access_claims
from tests.faults import processes
from tests.faults.load import Caller
from tests.poolers import pgbouncer
from tests.races import at_once
from tests.security.installation import Installation, installed, provision
from tests.waiting import wait_until

START_SECONDS = 120
CALLERS, CALLS = 12, 10  # of a server with 2 processes of 4 threads, over 3 sessions
# The lock time-out of 2 s, and what a loaded machine takes.
LOCK_SECONDS = 8
LOST_SESSION = re.compile(r"prepared statement|cursor \"|startup parameter")
READS = (
    "/tenants/acme/subscriptions",
    "/tenants/acme/events",
    "/tenants/acme/metrics?granularity=hour",
    "/gateway/config?format=nginx",
)


@dataclass(frozen=True, slots=True)
class Pooled:
    """The service behind the pooler: its installation, its environment, its port and a token of the platform."""

    installation: Installation
    environment: Mapping[str, str]
    port: int
    token: str

    def caller(self) -> Caller:
        return Caller(self.port, self.token)


@contextmanager
def log_of_sessions() -> Iterator[IO[bytes]]:
    """Collect what the processes print; fail if one relied on a session of its own."""
    with tempfile.TemporaryFile() as log:
        try:
            yield log
        finally:
            log.seek(0)
            text = log.read().decode()
            assert not LOST_SESSION.search(text), text


@pytest.fixture(scope="module")
def pooled(realm: Grants) -> Iterator[Pooled]:
    with installed(realm) as installation, pgbouncer([installation.service["DATABASE_URL"]]) as [url]:
        environment = {**installation.service, "DATABASE_URL": url, "STOA_DB_POOLED": "true"}
        with (
            log_of_sessions() as log,
            processes.worker(environment, log),
            processes.beat(environment, log),
            processes.web(environment, log) as server,
        ):
            wait_until(lambda: programs.is_answering("127.0.0.1", server.port, "/readyz"), "it is ready")
            token = realm.key.sign(access_claims(PEOPLE["olga"], realm.issuer))
            yield Pooled(installation, environment, server.port, token)


def test_the_main_flow(pooled: Pooled) -> None:
    with closing(pooled.caller()) as api:
        subscription, _api_id = provision(api)
        # By the worker, which the queue in PostgreSQL or beat tells of it.
        wait_until(lambda: api.send("GET", "/tenants/acme").json["status"] == "active", seconds=START_SECONDS)
        wait_until(lambda: pooled.installation.count("SELECT count(*) FROM stoa_cp_eventdispatch") == 0)
        wait_until(lambda: pooled.installation.count("SELECT count(*) FROM webhooks_attempt") > 0)
        assert api.send("GET", "/tenants/acme/events/verify").json["intact"]

    def calls() -> set[int]:
        with closing(pooled.caller()) as api:
            answers = []
            for _call in range(CALLS):
                answers.append(api.post("/gateway/keys/verify", {"key": subscription["api_key"]}))
                answers += [api.send("GET", path) for path in READS]
        return {answer.status for answer in answers}

    assert at_once(*[calls] * CALLERS, connects=False) == [{200}] * CALLERS


def test_a_stuck_row_is_given_up_as_without_a_pooler(pooled: Pooled) -> None:
    with closing(pooled.caller()) as api, pooled.installation.as_owner() as other:
        tenant = {"name": "stuck", "tier": "starter", "admin_email": "a@b.example", "region": "us-east-1"}
        assert api.post("/tenants", tenant).status == 201
        with other.transaction():
            other.execute("SELECT FROM tenants_tenant WHERE name = 'stuck' FOR UPDATE")
            began_at = monotonic()
            assert api.patch("/tenants/stuck", {"tier": "enterprise"}).status == 503
            assert monotonic() - began_at < LOCK_SECONDS


def test_each_session_has_the_time_outs_of_the_role(pooled: Pooled) -> None:
    with psycopg.connect(pooled.environment["DATABASE_URL"], prepare_threshold=None) as session:
        names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        rows = [session.execute("SELECT current_setting(%s)", [name]).fetchone() for name in names]

    assert rows == [("2s",), ("10s",), ("10s",)]
