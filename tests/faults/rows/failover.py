"""A primary that dies, and the standby that takes its place: D10."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

import psycopg

from stoa_cp.devserver.cluster import USER, free_port
from stoa_cp.devserver.postgres import PostgresServer
from stoa_cp.devserver.processes import Program, end, spawn
from tests.faults.load import Caller, writing
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.processes import run_program
from tests.faults.rows.broker import are_heard, count_lost
from tests.faults.rows.database import described, first_success, is_our_503
from tests.faults.world import START_SECONDS, World
from tests.security.installation import manage
from tests.waiting import comes_true, wait_until
from tests.webhooks.receivers import Receiver

CALLERS = 4
BACK_SECONDS = 5.0
PATIENCE_SECONDS = 60
STOP_SECONDS = 10


@dataclass(slots=True)
class Pair:
    """A primary, and a standby that each commit waits for."""

    primary: PostgresServer
    standby: Path
    port: int

    @property
    def url(self) -> str:
        """The address of both, as an operator writes it: whichever accepts writes."""
        parts = urlsplit(self.primary.url)
        hosts = f"127.0.0.1:{parts.port},127.0.0.1:{self.port}"
        return f"postgres://{USER}:{parts.password}@{hosts}{parts.path}?target_session_attrs=read-write"

    @property
    def standby_url(self) -> str:
        return urlsplit(self.primary.url)._replace(netloc=self._netloc()).geturl()

    def _netloc(self) -> str:
        return f"{USER}:{self.primary.cluster.password}@127.0.0.1:{self.port}"

    def fail_over(self) -> float:
        """Kill the primary, promote the standby; return when it accepted writes."""
        assert self.primary.process
        self.primary.process.kill()
        run_program(self.primary.cluster.program("pg_ctl", "promote", "-w", "-D", str(self.standby)))
        # Nothing follows it now: a commit would wait for ever.
        with psycopg.connect(self.standby_url, autocommit=True) as session:
            session.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            session.execute("SELECT pg_reload_conf()")
        return monotonic()


@contextmanager
def pair(world: World) -> Iterator[Pair]:
    """Start both servers, beside the one of the other rows."""
    primary = PostgresServer(world.folder / "primary", durable=True)
    primary.start()
    try:
        folder = primary.cluster.placement.folder
        standby, port = folder / "standby", free_port(0)
        run_program(
            primary.cluster.program(
                "pg_basebackup", "-D", str(standby), "-R", "-X", "stream", "-c", "fast", "-d", primary.url
            )
        )
        options = (f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300")
        arguments = [word for option in options for word in ("-c", option)]
        with (folder / "standby-log").open("wb") as log:
            process = spawn(primary.cluster.program("postgres", "-D", str(standby), *arguments), log)
        try:
            with psycopg.connect(primary.url, autocommit=True) as session:
                session.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                session.execute("SELECT pg_reload_conf()")
                wait_until(lambda: _is_followed(session), "the standby follows", seconds=START_SECONDS)
            yield Pair(primary, standby, port)
        finally:
            end(process, Program("", ()).stop_signal, grace_seconds=STOP_SECONDS)
    finally:
        primary.cluster.end_leftover()
        primary.destroy()


def _is_followed(session: psycopg.Connection[tuple[object, ...]]) -> bool:
    return session.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'").fetchone() is not None


@injects(
    Fault(
        "D10",
        "failover to the standby",
        f"the primary killed, the standby promoted, under {CALLERS} writers; DATABASE_URL names both",
        f"only 503 in our format; first success ≤ {BACK_SECONDS:.0f} s after the promotion; rows and events lost 0",
    )
)
def fail_over(world: World) -> Measured:
    with pair(world) as servers, Receiver().running() as receiver:
        settings = {"DATABASE_URL": servers.url}
        prepared = manage({**world.environment, **settings}, "prepare", "--verbosity", "0")
        assert prepared.returncode == 0, prepared.stderr
        with world.web(**settings) as port, world.celery(**settings):
            _set_up(world, port, receiver)
            with writing(port, world.token, "failing-over", callers=CALLERS) as load:
                sleep(2.0)
                back_at = servers.fail_over()
                sleep(BACK_SECONDS)
            created = load.created()
            comes_true(lambda: are_heard(created, receiver), seconds=PATIENCE_SECONDS)
        with psycopg.connect(servers.standby_url) as session:
            rows = session.execute("SELECT count(*) FROM catalog_api WHERE id = ANY(%s)", [list(created)]).fetchone()
    unexpected = [call for call in load.calls if call.status != HTTPStatus.CREATED and not is_our_503(call)]
    delay = first_success(load, back_at)
    lost, unheard = len(created) - int(rows[0] if rows else 0), count_lost(created, receiver)
    return Measured(
        f"statuses {load.statuses()}, others than our 503: {described(unexpected)}; first success after {delay:.1f} s; "
        f"of {len(created)} rows lost {lost}, events lost {unheard}",
        held=not unexpected and delay <= BACK_SECONDS and lost + unheard == 0,
    )


def _set_up(world: World, port: int, receiver: Receiver) -> None:
    tenant = {"name": "failing-over", "tier": "enterprise", "admin_email": "a@b.example", "region": "us-east-1"}
    with closing(Caller(port, world.token)) as api:
        assert api.post("/tenants", tenant).status == HTTPStatus.CREATED
        wait_until(lambda: api.send("GET", "/tenants/failing-over").json["status"] == "active", seconds=START_SECONDS)
        hook = {"url": f"{receiver.url}/", "events": ["*"]}
        assert api.post("/tenants/failing-over/webhooks", hook).status == HTTPStatus.CREATED
        assert api.create_api("failing-over").status == HTTPStatus.CREATED
    wait_until(lambda: bool(receiver.received), "the first event is delivered", seconds=START_SECONDS)
